"""One program in the background: started apart from who starts it, known by its pid."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from labkit.errors import Unavailable
from labkit.processes import end

READY_SECONDS = 20.0


@dataclass(frozen=True)
class Daemon:
    """A program of the monitoring, its pid and its log.

    Attributes:
        name: What it is called, the names of its files too.
        command: The program and its arguments; the folder's path must be one of them or part of one.
        folder: Where its pid and its log lie.
        ready: An address that answers 200 once it is ready.
    """

    name: str
    command: tuple[str, ...]
    folder: Path
    ready: str

    @property
    def log(self) -> Path:
        """All that it said."""
        return self.folder / f"{self.name}.log"

    @property
    def _pid(self) -> Path:
        return self.folder / f"{self.name}.pid"

    @property
    def process(self) -> psutil.Process | None:
        """Its process, if it runs; another that got its number since is not taken for it."""
        try:
            process = psutil.Process(int(self._pid.read_text()))
            ours = any(str(self.folder) in word for word in process.cmdline())
            return process if ours and process.status() != psutil.STATUS_ZOMBIE else None
        except (OSError, ValueError, psutil.Error):
            return None

    def up(self) -> None:
        """Start it and wait until it is ready.

        Raises:
            Unavailable: It ended, or is not ready in time; the message has its last line.
        """
        self._pid.unlink(missing_ok=True)
        with self.log.open("wb") as log:
            # A session of its own and no parent: it outlives the notebook that started it.
            subprocess.run(
                ["setsid", "--fork", "sh", "-c", 'echo $$ > "$0"; exec "$@"', self._pid, *self.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                check=True,
                cwd="/",
            )
        deadline = time.monotonic() + READY_SECONDS
        while not answers(self.ready):
            if time.monotonic() > deadline or (self._pid.exists() and self._ended()):
                said = self.log.read_text(errors="replace").strip().splitlines()
                self.down()
                raise Unavailable(
                    f"{self.name} did not start.",
                    why=said[-1][-300:] if said else "It said nothing.",
                    next_step=f"All that it said is in {self.log}.",
                )
            time.sleep(0.05)

    def down(self) -> bool:
        """End it; gives whether it ran."""
        process = self.process
        if process is not None:
            end([process], 5)
        self._pid.unlink(missing_ok=True)
        return process is not None

    def _ended(self) -> bool:
        with contextlib.suppress(OSError, ValueError):
            return not psutil.pid_exists(int(self._pid.read_text()))
        return False


def answers(url: str) -> bool:
    """Whether that address answers 200 now."""
    try:
        return httpx.get(url, timeout=2, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def free_ports(count: int) -> list[int]:
    """So many different ports of 127.0.0.1 that nobody listens on now."""
    with contextlib.ExitStack() as held:
        ports = []
        for _ in range(count):
            probe = held.enter_context(socket.socket())
            probe.bind(("127.0.0.1", 0))
            ports.append(int(probe.getsockname()[1]))
        return ports
