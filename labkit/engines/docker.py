"""Any engine that speaks Docker's API: Docker Engine, Docker Desktop, Podman's service."""

from __future__ import annotations

import json
import os
import re
import socket
import tarfile
import tempfile
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import docker
import docker.errors
import docker.types
import requests.exceptions

from labkit import debian
from labkit.engines import bases, building
from labkit.engines.archives import IMAGE_BYTES, Bounded, layers_of, member, small_files
from labkit.engines.base import About, Build, BuildFault, Engine, EngineLost, Image, Say
from labkit.engines.containers import DockerContainer, Fence, lost_engine, not_started
from labkit.errors import Unavailable, WorkFault

DEFAULT = "unix:///var/run/docker.sock"
HEALTH_SECONDS = 3.0
"""The longest that one run of a health check may take, where its interval is ours."""


class DockerEngine:
    """An engine at an address; see `labkit.engines.base.Engine`.

    Args:
        address: As DOCKER_HOST holds it, `unix:///...` or `tcp://...`; by default that variable's, else
            Docker's own.
        say: Told in a sentence what is done, if it takes time.
    """

    name = "docker"
    bridge = True
    fence: Fence | None = None
    """What keeps it apart from this machine, if anything does."""
    bases_from: Callable[[], Engine] | None = None
    """The engine that it takes bases from, where it neither makes nor pulls them itself."""

    def __init__(self, address: str | None = None, *, say: debian.Say = debian.say_on_stderr) -> None:
        self.say = say
        self.address = address or os.environ.get("DOCKER_HOST") or DEFAULT

    @cached_property
    def _client(self) -> docker.DockerClient:
        try:
            _knock(self.address)
            client = docker.DockerClient(base_url=self.address, version="auto", timeout=120)
        except OSError as error:
            raise self._nobody(error.strerror or str(error)) from error
        except (docker.errors.DockerException, requests.exceptions.RequestException, ValueError) as error:
            raise self._nobody(str(error).rpartition(": ")[2][:120]) from error
        weakref.finalize(client, client.api.close)  # its pool of connections does not close itself
        return client

    def _nobody(self, why: str) -> EngineLost:
        return EngineLost(
            f"No container engine answers at {self.address}.",
            why=f"{why}." if why else "",
            next_step="Start it, or take the variable DOCKER_HOST away to use the embedded one.",
        )

    @cached_property
    def _version(self) -> str:
        with lost_engine():
            version = self._client.version()
        parts = {
            str(part.get("Name", "")): str(part.get("Version", "")) for part in version.get("Components", [])
        }
        podman = parts.get("Podman Engine")
        return f"podman {podman}" if podman else str(version["Version"])

    @cached_property
    def _buildkit(self) -> Path | None:
        return building.buildkit_client(self._version)

    def about(self) -> About:
        """What it is.

        Raises:
            EngineLost: It does not answer.
        """
        with lost_engine():
            self._client.ping()
        version = self._version
        name = f"Podman {version[7:]}" if version.startswith("podman") else f"Docker Engine {version}"
        builder = "BuildKit" if self._buildkit else "the engine's own builder"
        return About(name.partition("+")[0], self.address, builder, self.bridge)

    # ---- building ---------------------------------------------------------------------------------------

    def build(
        self,
        context: Path,
        dockerfile: str | Path = "Dockerfile",
        tag: str | None = None,
        *,
        target: str | None = None,
        arguments: Mapping[str, str] | None = None,
        secrets: Mapping[str, Path] | None = None,
        network: bool = True,
        fresh: bool = False,
        seconds: float = 300,
        on_step: Say | None = None,
    ) -> Build:
        """Build an image; see `Engine.build`."""
        context = Path(context).resolve()
        request = building.Request(
            context=context,
            dockerfile=Path(dockerfile) if Path(dockerfile).is_absolute() else context / dockerfile,
            tag=tag,
            target=target,
            arguments=arguments or {},
            secrets=secrets or {},
            network=network,
            fresh=fresh,
            seconds=seconds,
            on_step=on_step,
        )
        self._get_ready()
        bases.provide_all(self, request.dockerfile)
        try:
            raw = self._build(request)
        except BuildFault as fault:
            if self._answers():
                raise
            raise EngineLost("The engine ended during the build.", next_step="Build again.") from fault
        steps = tuple(step for step in raw.steps.values() if not step.text.startswith("FROM "))
        return Build(self.inspect(raw.image), round(raw.seconds, 3), steps, raw.log)

    def _get_ready(self) -> None:
        """For backends that prepare something before each build and each container."""

    def _answers(self) -> bool:
        try:
            return bool(self._client.ping())
        except (docker.errors.DockerException, requests.exceptions.RequestException):
            return False

    def _build(self, request: building.Request) -> building.Raw:
        if self._buildkit is not None:
            return building.with_buildkit(self._buildkit, self.address, request)
        if request.secrets:
            raise Unavailable(
                "This engine's builder takes no secrets through its API.",
                next_step="Use an engine with BuildKit for this build.",
            )
        return building.with_api(self._client.api, request)

    # ---- running ----------------------------------------------------------------------------------------

    def run(
        self,
        image: str,
        command: Sequence[str] | None = None,
        *,
        ports: Sequence[int] = (),
        environment: Mapping[str, str] | None = None,
        user: str | None = None,
        read_only: bool = False,
        tmpfs: Mapping[str, str] | None = None,
        drop_capabilities: bool = False,
        memory_mib: int | None = 1024,
        processes: int | None = 512,
        network: str | None = None,
        entrypoint: Sequence[str] | None = None,
        health_seconds: float | None = None,
        gpus: bool = False,
    ) -> DockerContainer:
        """Start a container; see `Engine.run`."""
        self._get_ready()
        how: dict[str, Any] = {
            "environment": dict(environment or {}),
            "read_only": read_only,
            "tmpfs": dict(tmpfs or {}),
            "security_opt": ["no-new-privileges"],
            "init": None,
        }
        if user is not None:
            how["user"] = user
        if drop_capabilities:
            how["cap_drop"] = ["ALL"]
        if memory_mib is not None:
            how["mem_limit"] = f"{memory_mib}m"
        if processes is not None:
            how["pids_limit"] = processes
        if entrypoint is not None:
            how["entrypoint"] = list(entrypoint)
        if health_seconds is not None:
            # Without a command of its own it keeps the image's.
            every, most = int(health_seconds * 1e9), int(HEALTH_SECONDS * 1e9)
            how["healthcheck"] = {"interval": every, "start_period": every, "timeout": most, "retries": 2}
        if gpus:
            how["device_requests"] = [docker.types.DeviceRequest(count=-1, capabilities=[["gpu"]])]
        if network is not None:
            how["network_mode"] = network
        elif not self.bridge:
            how["network_mode"] = "host"
        if ports and self.bridge:
            how["ports"] = {f"{port}/tcp": ("127.0.0.1", None) for port in ports}
        with lost_engine():
            try:
                made = self._client.containers.create(image, list(command) if command else None, **how)
            except docker.errors.ImageNotFound as error:
                raise _no_image(image) from error
            except docker.errors.APIError as refused:
                raise not_started(refused) from refused
            container = DockerContainer(made, bridge=self.bridge, fence=self.fence)
            try:
                made.start()
            except docker.errors.APIError as refused:
                container.remove()
                raise not_started(refused) from refused
            except BaseException:
                container.remove()
                raise
        return container

    # ---- images -----------------------------------------------------------------------------------------

    def inspect(self, image: str) -> Image:
        """What the engine knows of an image.

        Raises:
            WorkFault: There is none of that name.
        """
        with lost_engine():
            try:
                found = self._client.images.get(image)
                history = found.history()
            except docker.errors.ImageNotFound as error:
                raise _no_image(image) from error
        attributes = found.attrs
        return Image(
            id=str(attributes["Id"]),
            tags=tuple(attributes.get("RepoTags") or ()),
            digests=tuple(attributes.get("RepoDigests") or ()),
            bytes=int(attributes["Size"]),
            layers=layers_of(attributes["RootFS"].get("Layers") or [], history),
            config=attributes.get("Config") or {},
            history=tuple(str(entry.get("CreatedBy", "")) for entry in reversed(history)),
        )

    def images(self) -> list[Image]:
        """All images with a name."""
        with lost_engine():
            names = [image.tags[0] for image in self._client.images.list() if image.tags]
        return [self.inspect(name) for name in sorted(names)]

    def files(self, image: str) -> dict[str, int]:
        """The files of an image as a container sees them: path without the leading `/`, and size in bytes."""
        with lost_engine():
            try:
                made = self._client.containers.create(image, ["never-started"])
            except docker.errors.ImageNotFound as error:
                raise _no_image(image) from error
            try:
                stream = Bounded(made.export(), IMAGE_BYTES, image)
                with tarfile.open(fileobj=stream, mode="r|") as tree:  # type: ignore[call-overload]
                    found = {member.name.removeprefix("./"): member.size for member in tree}
                for _ in stream:  # the archive's padding: a stream that is left unread keeps its line open
                    pass
                return found
            finally:
                made.remove(force=True, v=True)

    def layer_files(self, image: str) -> list[dict[str, bytes | None]]:
        """What each layer holds, the base first: small files' contents by path, None for larger ones."""
        with self.saved(image) as archive:
            manifest = json.loads(member(archive, "manifest.json"))[0]
            return [small_files(archive, name) for name in manifest["Layers"]]

    @contextmanager
    def saved(self, image: str) -> Iterator[tarfile.TarFile]:
        """The image as `docker save` gives it, in a file that is gone afterwards."""
        with tempfile.TemporaryFile() as file:
            self.save(image, file)
            with tarfile.open(fileobj=file) as archive:
                yield archive

    def save(self, image: str, file: IO[bytes]) -> None:
        """Write an image into a file, as `docker save` does, and go back to the file's beginning."""
        with lost_engine():
            try:
                for chunk in Bounded(self._client.api.get_image(image), IMAGE_BYTES, image):
                    file.write(chunk)
            except docker.errors.ImageNotFound as error:
                raise _no_image(image) from error
        file.seek(0)

    def load(self, file: IO[bytes]) -> None:
        """Take over what `save` of another engine wrote.

        Raises:
            Unavailable: It is no image, or there is no room.
        """
        with lost_engine():
            for event in self._client.api.load_image(file):  # type: ignore[no-untyped-call]
                if said := event.get("errorDetail", {}).get("message"):
                    raise Unavailable("An image could not be loaded.", why=f"{said}.")

    def load_root(self, tree: Path, tag: str, changes: Sequence[str]) -> Image:
        """Make an image of one layer of a root file system's tar.

        Args:
            tree: The tar file.
            tag: The image's name.
            changes: Instructions for its configuration, `ENV ...`, `CMD ...`, `LABEL ...`.
        """
        with lost_engine(), tree.open("rb") as file:
            chunks = iter(lambda: file.read(1 << 20), b"")
            said = self._client.api.import_image_from_stream(chunks, changes=list(changes))
        made = re.findall(r"\b[0-9a-f]{64}\b", said)
        if '"error"' in said or not made:
            raise Unavailable(f"The image {tag} could not be made.", why=said[-200:])
        self.tag(made[-1], tag)
        return self.inspect(tag)

    def tag(self, image: str, tag: str) -> None:
        """Give an image one more name."""
        with lost_engine():
            try:
                self._client.api.tag(image, *_split(tag), force=True)
            except docker.errors.ImageNotFound as error:
                raise _no_image(image) from error

    def push(self, tag: str) -> str:
        """Push an image to the registry that its tag names; gives its digest, `sha256:...`.

        Raises:
            Unavailable: The registry is not in reach, or refuses.
        """
        digest = ""
        with lost_engine():
            try:
                for event in self._client.api.push(*_split(tag), stream=True, decode=True):
                    if said := event.get("errorDetail", {}).get("message") or event.get("error"):
                        raise Unavailable(f"{tag} was not pushed.", why=f"{said}.")
                    digest = event.get("aux", {}).get("Digest", digest)
                    if match := re.search(r"digest: (sha256:[0-9a-f]{64})", str(event.get("status", ""))):
                        digest = match[1]
            except docker.errors.APIError as refused:
                raise Unavailable(f"{tag} was not pushed.", why=str(refused.explanation)) from refused
        return digest

    def pull(self, name: str) -> Image:
        """Pull an image.

        Raises:
            Unavailable: It can't be had from here.
        """
        with lost_engine():
            try:
                for event in self._client.api.pull(name, stream=True, decode=True):
                    if said := event.get("errorDetail", {}).get("message") or event.get("error"):
                        raise Unavailable(f"{name} could not be pulled.", why=f"{said}.")
            except docker.errors.APIError as refused:
                raise Unavailable(f"{name} could not be pulled.", why=str(refused.explanation)) from refused
        return self.inspect(name)

    def remove(self, image: str) -> None:
        """Remove a name of an image, and the image with its last one; harmless if there is none."""
        with lost_engine():
            try:
                self._client.images.remove(image)
            except docker.errors.ImageNotFound:
                return
            except docker.errors.APIError as refused:
                raise WorkFault(f"{image} was not removed.", why=str(refused.explanation)) from refused


def _knock(address: str) -> None:
    """See whether anybody listens there: the library leaves its socket open if nobody does."""
    if address.startswith("unix://"):
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(address.removeprefix("unix://"))


def _split(tag: str) -> tuple[str, str]:
    """The repository and the tag; a port's colon is none."""
    repository, colon, version = tag.rpartition(":")
    return (repository, version) if colon and "/" not in version else (tag, "latest")


def _no_image(image: str) -> WorkFault:
    return WorkFault(f"There is no image {image}.", next_step="Build it first, or look at its spelling.")
