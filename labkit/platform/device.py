"""An edge device: a learner's server on a machine whose line can be cut; its disk outlives a restart."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from labkit.errors import WorkFault
from labkit.isolation.relay import Relay
from labkit.platform.laying import lay
from labkit.serving import ScriptServer
from labkit.storage import Gateway, Machine

DISK_FILES = 200
DISK_BYTES = 64 << 20


@dataclass(frozen=True)
class Answer:
    """What the device answered.

    Attributes:
        status: The HTTP status; 0 if no answer came.
        value: The JSON; None if it was none.
    """

    status: int
    value: Any

    @property
    def version(self) -> int | None:
        """The version that it names."""
        version = self.value.get("version") if isinstance(self.value, dict) else None
        return version if isinstance(version, int) else None


class Device:
    """An edge device, switched on by `start`.

    Args:
        work: The learner's files.
        gateway: The way to the bucket.
        scratch: Where its disk is laid.
        logs: Where its log goes.
        environment: Variables of `edge.py`.
    """

    def __init__(
        self,
        work: Path,
        gateway: Gateway,
        *,
        scratch: Path,
        logs: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.gateway = gateway
        self.log = logs / "edge.log"
        self._work = work
        self._scratch = scratch
        self._environment = dict(environment or {})
        self._starts = 0
        self._machine: Machine | None = None
        self._server: ScriptServer | None = None
        self._relay: Relay | None = None
        self._client: httpx.Client | None = None
        self._disk: Path | None = None

    def start(self, *, linked: bool = True) -> None:
        """Switch it on, with or without its line.

        Raises:
            WorkFault: `edge.py` ended, or did not listen.
        """
        self._starts += 1
        folder = lay(self._work, self._scratch / f"edge-{self._starts}")
        if self._disk is not None and (self._disk / "cache").is_dir():
            shutil.copytree(self._disk / "cache", folder / "cache", dirs_exist_ok=True)
        self._machine = Machine(
            f"edge-{self._starts}", self.gateway, environment=self._environment, linked=linked
        )
        self._server = ScriptServer("edge.py", log=self.log, guard=self._machine)
        endpoint = self._server.start(folder)
        assert endpoint.network is not None
        self._relay = Relay(endpoint.network, endpoint.port, tcp=True)
        self._client = httpx.Client(
            base_url=f"http://127.0.0.1:{self._relay.port}", timeout=5, trust_env=False
        )

    def stop(self, change: Callable[[Path], None] | None = None) -> None:
        """Switch it off; its disk stays, as plain files.

        Args:
            change: What happens to the files of its cache meanwhile.
        """
        if self._server is None:
            return
        assert self._machine is not None
        if self._client is not None:
            self._client.close()
        if self._relay is not None:
            self._relay.close()
        self._server.stop()
        disk = self._scratch / f"disk-{self._starts}"
        if self._machine.home is not None:
            _take_plain(self._machine.home / "cache", disk / "cache")
        self._server.close()
        self._server = self._relay = self._client = None
        if change is not None and (disk / "cache").is_dir():
            change(disk / "cache")
        self._disk = disk

    def cut(self) -> None:
        """Cut its line: its network holds nothing but its own loopback."""
        assert self._machine is not None
        self._machine.cut()

    def restore(self) -> None:
        """Give it its line back."""
        assert self._machine is not None
        self._machine.restore()

    def ask(self, features: Any) -> Answer:
        """`POST /predict`."""
        return self._request("POST", "/predict", {"features": features})

    def post(self, body: Any) -> Answer:
        """`POST /predict` with any JSON."""
        return self._request("POST", "/predict", body)

    def health(self) -> Answer:
        """`GET /health`."""
        return self._request("GET", "/health", None)

    def serves(self, version: int, within: float) -> bool:
        """Whether it says, within so many seconds, that it serves a version."""
        deadline = time.monotonic() + within
        while self.health().version != version:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        return True

    def left(self, name: str) -> bytes | None:
        """What it wrote into a file of its folder."""
        return self._server.left(name) if self._server is not None else None

    def close(self) -> None:
        """Switch it off and forget it."""
        with suppress(OSError):
            self.stop()

    def _request(self, method: str, path: str, body: Any) -> Answer:
        if self._client is None:
            return Answer(0, None)
        try:
            answer = (
                self._client.request(method, path, json=body) if body is not None else self._client.get(path)
            )
        except httpx.HTTPError:
            return Answer(0, None)
        try:
            return Answer(answer.status_code, answer.json())
        except (ValueError, RecursionError):
            return Answer(answer.status_code, None)

    def __enter__(self) -> Device:
        """Nothing happens yet: `start` starts it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Switch it off."""
        self.close()


def _take_plain(source: Path, target: Path) -> None:
    """Copy the plain files of a folder that untrusted code wrote, and nothing else of it.

    Raises:
        WorkFault: There are too many.
    """
    target.mkdir(parents=True, exist_ok=True)
    if source.is_symlink() or not source.is_dir():
        return
    files = [path for path in source.rglob("*") if path.is_file() and not path.is_symlink()]
    if len(files) > DISK_FILES or sum(path.stat().st_size for path in files) > DISK_BYTES:
        raise WorkFault(
            f"The device's cache holds {len(files)} files.",
            why=f"At most {DISK_FILES} files of {DISK_BYTES >> 20} MiB together fit on its disk.",
        )
    for path in files:
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
