"""What every container engine offers, whatever it runs on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from labkit.errors import Unavailable, WorkFault

STAND_IN = "org.workbook.stand-in"
"""The label of an image that stands in for one of that name where no registry is in reach; says of what."""


class BuildFault(WorkFault):
    """The image was not built, and the Dockerfile or the files beside it are why.

    Attributes:
        log: All that the build printed.
    """

    def __init__(self, what: str, *, why: str = "", next_step: str = "", log: str = "") -> None:
        super().__init__(what, why=why, next_step=next_step)
        self.log = log


class EngineLost(Unavailable):
    """The engine ended, or was never there: what ran on it is not at fault."""


@dataclass(frozen=True)
class Step:
    """One step of a build.

    Attributes:
        text: The instruction as the engine repeats it, `RUN pip install -r requirements.txt`.
        stage: The stage that it belongs to, `builder`; empty where the Dockerfile has one stage only.
        cached: Whether it was taken from the cache.
        seconds: How long it took; 0 if it was cached.
    """

    text: str
    stage: str = ""
    cached: bool = False
    seconds: float = 0.0


@dataclass(frozen=True)
class Layer:
    """One layer of an image.

    Attributes:
        made_by: The instruction that made it.
        bytes: Its size, unpacked.
        digest: The hash of its content (`sha256:...`), the same for the same files and times.
    """

    made_by: str
    bytes: int
    digest: str


@dataclass(frozen=True)
class Image:
    """An image that an engine holds.

    Attributes:
        id: The hash of its configuration, `sha256:...`.
        tags: Its names.
        digests: Its names by digest, as a registry gave them, `python@sha256:...`.
        bytes: All its layers together, unpacked.
        layers: From the base upwards; those without content (`ENV`, `CMD`) are left out.
        config: What a container gets from it: `User`, `Env`, `Cmd`, `Healthcheck`, `Labels` ...
    """

    id: str
    tags: tuple[str, ...]
    digests: tuple[str, ...]
    bytes: int
    layers: tuple[Layer, ...]
    config: Mapping[str, Any] = field(default_factory=dict)
    history: tuple[str, ...] = ()

    @property
    def stand_in(self) -> str:
        """What it stands in for, if it (or the base that it was built from) is a stand-in; else empty."""
        return str((self.config.get("Labels") or {}).get(STAND_IN, ""))


@dataclass(frozen=True)
class Build:
    """An image that was built, and how.

    Attributes:
        image: What came out.
        seconds: How long the build took.
        steps: Its steps, without those of the engine's own (loading the Dockerfile, exporting).
        log: All that it printed.
    """

    image: Image
    seconds: float
    steps: tuple[Step, ...]
    log: str

    @property
    def cached(self) -> tuple[Step, ...]:
        """The steps that were taken from the cache; a base image is not counted as a step."""
        return tuple(step for step in self.steps if step.cached)


@dataclass(frozen=True)
class Output:
    """What a command in a container gave."""

    exit_code: int
    text: str


@dataclass(frozen=True)
class About:
    """What an engine is.

    Attributes:
        name: As a person calls it, "Docker Engine 20.10.24".
        address: Where it answers, `unix:///...`.
        builder: What builds its images, "BuildKit" or "the engine's own builder".
        bridge: Whether its containers have a network of their own; without one they share the machine's.
    """

    name: str
    address: str
    builder: str
    bridge: bool


Say = Callable[[str], None]


class Container(Protocol):
    """A container that was started; as a context manager it is removed at the end."""

    id: str

    def url(self, port: int) -> str:
        """Where a published port answers, `http://127.0.0.1:PORT`."""
        ...

    def logs(self, lines: int = 50) -> str:
        """The last lines that it printed."""
        ...

    def exec(self, command: Sequence[str], *, seconds: float = 30) -> Output:
        """Run a command in it."""
        ...

    def wait(self, seconds: float) -> Output:
        """Wait until it ends by itself.

        Raises:
            WorkFault: It did not.
        """
        ...

    def wait_for_port(self, port: int, seconds: float = 20) -> None:
        """Wait until something in it accepts connections on that port.

        Raises:
            WorkFault: It ended, or listens elsewhere or not at all.
        """
        ...

    def state(self) -> Mapping[str, Any]:
        """What the engine says of it: `Status`, `ExitCode`, `Health` ..."""
        ...

    def signal(self, name: str) -> None:
        """Send its first process a signal from outside: `STOP`, `CONT`, `TERM` ...

        Raises:
            WorkFault: It does not run.
        """
        ...

    def remove(self) -> None:
        """End and remove it; harmless if it is gone."""
        ...

    def __enter__(self) -> Container:
        """It runs already."""
        ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove it."""
        ...


class Engine(Protocol):
    """Builds images and runs containers."""

    name: str
    """The backend's name: `docker`, `embedded`."""

    def about(self) -> About:
        """What it is.

        Raises:
            EngineLost: It does not answer.
        """
        ...

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
        """Build an image.

        Args:
            context: The folder that COPY copies from.
            dockerfile: A name in that folder, or a path.
            tag: The image's name.
            target: The stage to end with; the last one by default.
            arguments: Values for the Dockerfile's ARGs.
            secrets: Files for `RUN --mount=type=secret,id=...`, by id.
            network: Whether RUN steps have a network.
            fresh: Whether nothing is taken from the cache.
            seconds: After which the build is ended.
            on_step: Told of each step as it begins.

        Raises:
            BuildFault: The Dockerfile or the files are at fault, or the build did not end in time.
            Unavailable: A base image can't be had here.
            EngineLost: The engine ended meanwhile.
        """
        ...

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
    ) -> Container:
        """Start a container.

        Args:
            image: A tag or an id.
            command: Instead of the image's own.
            ports: Its ports to publish, each on a free port of 127.0.0.1.
            environment: Variables to add.
            user: Instead of the image's own.
            read_only: Whether its root file system is read-only.
            tmpfs: Folders in memory and their options, `{"/tmp": "size=16m"}`.
            drop_capabilities: Whether it runs without any capability and can't gain any.
            memory_mib: The most memory that it gets.
            processes: The most processes that it may have.
            network: `none`, or None for the engine's own.
            entrypoint: Instead of the image's own.
            health_seconds: How often its health check runs, instead of the image's own interval and start
                period; each run may take 3 s, and two failures in a row make it unhealthy.
            gpus: Whether it gets this machine's NVIDIA GPUs, as with `docker run --gpus all`.

        Raises:
            WorkFault: The image is not there, or its command can't be started.
            EngineLost: The engine ended.
        """
        ...

    def inspect(self, image: str) -> Image:
        """What the engine knows of an image.

        Raises:
            WorkFault: There is none of that name.
        """
        ...

    def files(self, image: str) -> dict[str, int]:
        """The files of an image as a container sees them: path without the leading `/`, and size in bytes."""
        ...

    def layer_files(self, image: str) -> list[dict[str, bytes | None]]:
        """What each layer holds, the base first: small files' contents by path, None for larger ones."""
        ...

    def images(self) -> list[Image]:
        """All images with a name."""
        ...

    def tag(self, image: str, tag: str) -> None:
        """Give an image one more name."""
        ...

    def push(self, tag: str) -> str:
        """Push an image to the registry that its tag names; gives its digest, `sha256:...`.

        Raises:
            Unavailable: The registry is not in reach, or refuses.
        """
        ...

    def pull(self, name: str) -> Image:
        """Pull an image.

        Raises:
            Unavailable: It can't be had from here.
        """
        ...

    def remove(self, image: str) -> None:
        """Remove a name of an image, and the image with its last one; harmless if there is none."""
        ...
