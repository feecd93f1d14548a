"""The programs that make up the cluster: each a process of its own, known by its pid and command line."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from labkit.clusters.debian.layout import Layout
from labkit.errors import Unavailable
from labkit.processes import end

_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


class Members:
    """Starts, finds and ends them.

    Args:
        layout: The cluster's places.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    def start(self, name: str, command: Sequence[str | Path]) -> None:
        """Start one, to go on when this process ends."""
        self.layout.logs.mkdir(parents=True, exist_ok=True)
        with (self.layout.logs / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [str(part) for part in command],
                cwd=self.layout.kept,
                env={**os.environ, "PATH": f"{self.layout.programs}:{_PATH}"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        (self.layout.run / f"{name}.pid").write_text(str(process.pid))
        # It goes on by itself; nobody here waits for its end.
        process.returncode = 0

    def find(self, name: str) -> psutil.Process | None:
        """The running process of that name."""
        try:
            process = psutil.Process(int((self.layout.run / f"{name}.pid").read_text()))
            # A process that is just being started has no command line for a moment.
            line = " ".join(process.cmdline()) or str(self.layout.kept)
            ours = str(self.layout.kept) in line and process.status() != psutil.STATUS_ZOMBIE
        except (OSError, ValueError, psutil.Error):
            return None
        return process if ours else None

    def stop(self, *names: str, grace: float = 10.0) -> None:
        """End those of them that run, one after another."""
        for name in names:
            if process := self.find(name):
                end([process], grace)
            (self.layout.run / f"{name}.pid").unlink(missing_ok=True)

    def until(self, seconds: float, what: str, name: str, done: Callable[[], bool]) -> None:
        """Wait until something holds.

        Args:
            seconds: The longest to wait.
            what: What is waited for, in words.
            name: The program that it depends on.
            done: Whether it holds.

        Raises:
            Unavailable: It does not come to hold, or the program ended.
        """
        deadline = time.monotonic() + seconds
        while not done():
            ended = self.find(name) is None
            if ended or time.monotonic() > deadline:
                log = self.layout.logs / f"{name}.log"
                lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
                raise Unavailable(
                    f"{name} ended before {what}." if ended else f"{what} did not come in {seconds:.0f} s.",
                    why=lines[-1][-300:] if lines else "It said nothing.",
                    next_step=f"All that it said is in {log}.",
                )
            time.sleep(0.1)
