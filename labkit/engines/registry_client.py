"""Asks an image registry and pushes to it, by its HTTP API (the distribution specification of the OCI).

A registry holds blobs (layers and configurations) and manifests, each named by the hash of its bytes, its
digest. A manifest names the blobs of one image; an index names a manifest for each platform; a tag is a name
that points to one of either.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import httpx

from labkit.errors import Unavailable, WorkFault

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar"
_ACCEPT = ", ".join([INDEX, MANIFEST, OCI_INDEX, OCI_MANIFEST])
_SECONDS = 30


@dataclass(frozen=True)
class Descriptor:
    """What names something in a registry: its kind, its hash and its size in bytes."""

    media_type: str
    digest: str
    size: int

    def to_json(self) -> dict[str, Any]:
        """As manifests write it."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}


@dataclass(frozen=True)
class Stored:
    """An image or an index in a repository.

    Attributes:
        repository: Where, `team/model`.
        digest: Its name, `sha256:...`.
        tags: The tags that point to it, sorted.
        created: When it was made, as ISO 8601 text in UTC; of an index, when its newest image was.
        children: The digests of the images that an index names; empty for an image.
        platform: `linux/amd64`; empty for an index.
    """

    repository: str
    digest: str
    tags: tuple[str, ...]
    created: str
    children: tuple[str, ...] = ()
    platform: str = ""

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in vars(self).items()}


@dataclass(frozen=True)
class RegistryClient:
    """One registry, by its address.

    Attributes:
        url: Its base address, `http://127.0.0.1:5187`.
    """

    url: str

    @property
    def host(self) -> str:
        """What tags begin with, `127.0.0.1:5187`."""
        return self.url.partition("://")[2]

    @cached_property
    def _http(self) -> httpx.Client:
        # Nothing is kept open, so that there is nothing to close.
        return httpx.Client(
            timeout=_SECONDS, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0)
        )

    # ---- what is there ------------------------------------------------------------------------------------

    def repositories(self) -> list[str]:
        """What was pushed, by name."""
        return sorted(self._ask("GET", "_catalog?n=1000").json()["repositories"] or [])

    def tags(self, repository: str) -> list[str]:
        """The tags of a repository; none if there is no such repository."""
        answer = self._ask("GET", f"{repository}/tags/list", may_lack=True)
        return sorted(answer.json().get("tags") or []) if answer.status_code == 200 else []

    def digest(self, repository: str, reference: str) -> str:
        """The digest that a tag (or a digest) names, `sha256:...`.

        Raises:
            WorkFault: There is none.
        """
        return self._manifest("HEAD", repository, reference).headers["docker-content-digest"]

    def manifest(self, repository: str, reference: str) -> dict[str, Any]:
        """The manifest or index as it was pushed.

        Raises:
            WorkFault: There is none.
        """
        found: dict[str, Any] = self._manifest("GET", repository, reference).json()
        return found

    def descriptor(self, repository: str, reference: str) -> Descriptor:
        """What an index says of a manifest.

        Raises:
            WorkFault: There is none.
        """
        answer = self._manifest("GET", repository, reference)
        return Descriptor(
            answer.headers["content-type"], answer.headers["docker-content-digest"], len(answer.content)
        )

    def blob(self, repository: str, digest: str) -> bytes:
        """A layer or a configuration.

        Raises:
            WorkFault: There is none.
        """
        answer = self._ask("GET", f"{repository}/blobs/{digest}", may_lack=True)
        if answer.status_code != 200:
            raise WorkFault(f"The registry has no {repository}@{digest}.")
        return answer.content

    def stored(self, repository: str) -> list[Stored]:
        """All that tags of a repository lead to, the images that an index names included; by digest."""
        tags: dict[str, set[str]] = {}
        for tag in self.tags(repository):
            tags.setdefault(self.digest(repository, tag), set()).add(tag)
        found: dict[str, Stored] = {}
        for digest in tags:
            self._find(repository, digest, tags, found)
        return [found[digest] for digest in sorted(found)]

    def _find(
        self, repository: str, digest: str, tags: Mapping[str, set[str]], found: dict[str, Stored]
    ) -> Stored:
        if digest not in found:
            manifest = self.manifest(repository, digest)
            children = [entry["digest"] for entry in manifest.get("manifests", [])]
            created, platform = "", ""
            if children:
                created = max(self._find(repository, child, tags, found).created for child in children)
            else:
                config = json.loads(self.blob(repository, manifest["config"]["digest"]))
                created = str(config.get("created", ""))
                platform = f"{config.get('os', '')}/{config.get('architecture', '')}"
            names = tuple(sorted(tags.get(digest, ())))
            found[digest] = Stored(repository, digest, names, created, tuple(children), platform)
        return found[digest]

    # ---- pushing ------------------------------------------------------------------------------------------

    def push_blob(self, repository: str, content: bytes, media_type: str = LAYER) -> Descriptor:
        """Push a layer or a configuration; a registry that has it already keeps it once."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        begun = self._ask("POST", f"{repository}/blobs/uploads/")
        place = httpx.URL(begun.headers["location"]).copy_merge_params({"digest": digest})
        self._ask("PUT", str(place), content=content)
        return Descriptor(media_type, digest, len(content))

    def push_image(
        self,
        repository: str,
        tag: str | None,
        files: Mapping[str, bytes],
        *,
        created: str = "2026-01-01T00:00:00Z",
        platform: str = "linux/amd64",
        command: Sequence[str] = (),
    ) -> str:
        """Push an image of one layer; gives its digest.

        Args:
            repository: Where to.
            tag: Its tag; None for none.
            files: What its layer holds, by path.
            created: When it says that it was made.
            platform: What it says that it runs on.
            command: What a container of it runs.
        """
        layer = layer_of(files)
        system, _, architecture = platform.partition("/")
        config = {
            "created": created,
            "os": system,
            "architecture": architecture,
            "config": {"Cmd": list(command)},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.push_blob(repository, json.dumps(config).encode(), CONFIG).to_json(),
            "layers": [self.push_blob(repository, layer).to_json()],
        }
        return self.push_manifest(repository, tag, manifest)

    def push_manifest(self, repository: str, tag: str | None, manifest: Mapping[str, Any]) -> str:
        """Push a manifest or an index; gives its digest.

        Args:
            repository: Where to.
            tag: Its tag, which is moved if it is there; None for none.
            manifest: What it says; `mediaType` says what it is.

        Raises:
            WorkFault: It names what is not there, or the registry can't read it.
        """
        body = json.dumps(manifest).encode()
        reference = tag or f"sha256:{hashlib.sha256(body).hexdigest()}"
        answer = self._ask(
            "PUT",
            f"{repository}/manifests/{reference}",
            content=body,
            headers={"Content-Type": str(manifest.get("mediaType", MANIFEST))},
        )
        return str(answer.headers["docker-content-digest"])

    def put_index(self, repository: str, tag: str, manifests: Mapping[str, str]) -> str:
        """Push an index that names a manifest for each platform; gives its digest.

        Args:
            repository: Where the manifests were pushed to.
            tag: The index's tag.
            manifests: The digest for each platform, `{"linux/arm64": "sha256:..."}`.

        Raises:
            WorkFault: A digest is not there, or the registry refused.
        """
        entries = []
        for platform, digest in manifests.items():
            system, _, architecture = platform.partition("/")
            try:
                named = self.descriptor(repository, digest).to_json()
            except WorkFault as lacking:
                raise WorkFault(lacking.what, next_step="Push it first.") from lacking
            entries.append({**named, "platform": {"os": system, "architecture": architecture}})
        return self.push_manifest(
            repository, tag, {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}
        )

    def delete(self, repository: str, digest: str) -> None:
        """Delete a manifest by its digest; its layers stay until they are collected.

        Raises:
            WorkFault: There is none, or it is named by a tag instead of a digest.
        """
        if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
            raise WorkFault(f"{digest} is no digest.", next_step="A registry deletes by digest only.")
        answer = self._ask("DELETE", f"{repository}/manifests/{digest}", may_lack=True)
        if answer.status_code != 202:
            raise WorkFault(f"The registry has no {repository}@{digest}.")

    def _manifest(self, method: str, repository: str, reference: str) -> httpx.Response:
        answer = self._ask(method, f"{repository}/manifests/{reference}", may_lack=True)
        if answer.status_code != 200:
            mark = "@" if ":" in reference else ":"
            raise WorkFault(f"The registry has no {repository}{mark}{reference}.")
        return answer

    def _ask(self, method: str, path: str, *, may_lack: bool = False, **more: Any) -> httpx.Response:
        headers = {"Accept": _ACCEPT, **more.pop("headers", {})}
        url = path if path.startswith("http") else f"{self.url}/v2/{path}"
        try:
            answer = self._http.request(method, url, headers=headers, **more)
        except httpx.HTTPError as error:
            raise Unavailable(
                f"The registry at {self.host} does not answer.", next_step="Run `workbook up registry`."
            ) from error
        if answer.is_error and not (may_lack and answer.status_code in (404, 405)):
            raise WorkFault(f"The registry answered {answer.status_code}.", why=answer.text[:200])
        return answer


def layer_of(files: Mapping[str, bytes]) -> bytes:
    """A layer that holds these files: a tar archive, the same bytes for the same files."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tree:
        for path, content in sorted(files.items()):
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            entry.mode = 0o755
            tree.addfile(entry, io.BytesIO(content))
    return archive.getvalue()
