"""Processes that are started, watched and ended with everything that they started themselves.

A process that a lab starts gets a session of its own, ends when the one that started it ends (Linux), and
writes into a log that is kept and capped. `stop` ends the whole tree; `end_descendants` also finds those
that left their tree by forking twice, once `adopt_orphans` was called.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO

import psutil

LOG_BYTES = 1 << 20
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


class Process:
    """A running command line, its log and all that it started.

    Args:
        command: The program and its arguments.
        cwd: The folder to run it in.
        environment: Variables to add to our own.
        log: Where its output goes, both streams.
        log_bytes: How much of it; the rest is dropped.
        pass_fds: File descriptors to hand on.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        cwd: Path,
        log: Path,
        environment: Mapping[str, str] | None = None,
        log_bytes: int = LOG_BYTES,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.log = log
        self.started = time.monotonic()
        log.parent.mkdir(parents=True, exist_ok=True)
        self._popen = subprocess.Popen(
            [str(part) for part in command],
            cwd=cwd,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=pass_fds,
            preexec_fn=die_with_parent,
        )
        assert self._popen.stdout is not None
        self._drain = threading.Thread(target=_drain, args=(self._popen.stdout, log, log_bytes), daemon=True)
        self._drain.start()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code, or None while it runs."""
        return self._popen.poll()

    @property
    def seconds(self) -> float:
        """How long ago it was started."""
        return time.monotonic() - self.started

    def family(self) -> list[psutil.Process]:
        """The process and all its descendants that are still alive."""
        return family(self.pid)

    def memory_bytes(self) -> int:
        """Resident memory of the whole family."""
        total = 0
        for process in self.family():
            try:
                total += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return total

    def last_lines(self, count: int = 20) -> list[str]:
        """The last lines of the log."""
        if self.exit_code is not None:
            self._drain.join(timeout=1)
        try:
            return self.log.read_text(errors="replace").splitlines()[-count:]
        except FileNotFoundError:
            return []

    def stop(self, grace: float = 3.0) -> None:
        """End the family: SIGTERM, then SIGKILL for what is left after `grace` seconds."""
        end(self.family(), grace)
        self._popen.wait()
        self._drain.join(timeout=1)


def adopt_orphans() -> None:
    """Make this process the parent of descendants whose own parents end (Linux; elsewhere nothing)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_descendants(grace: float = 1.0) -> int:
    """End all that this process and its descendants started; gives how many there were."""
    descendants = [process for process in family(os.getpid()) if process.pid != os.getpid()]
    end(descendants, grace)
    return len(descendants)


def end(processes: Iterable[psutil.Process], grace: float) -> None:
    """End these processes: SIGTERM, then SIGKILL for those still there after `grace` seconds."""
    alive = list(processes)
    for ask in (psutil.Process.terminate, psutil.Process.kill):
        for process in alive:
            try:
                ask(process)
            except psutil.NoSuchProcess:
                continue
        _, alive = psutil.wait_procs(alive, timeout=grace)


def listening_ports(processes: Iterable[psutil.Process]) -> set[int]:
    """The TCP ports that any of these processes listens on."""
    ports = set()
    for process in processes:
        try:
            connections = process.net_connections(kind="tcp")
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        ports |= {c.laddr.port for c in connections if c.status == psutil.CONN_LISTEN}
    return ports


def family(pid: int) -> list[psutil.Process]:
    """A process and all its descendants that are still alive."""
    try:
        head = psutil.Process(pid)
        return [head, *head.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def die_with_parent() -> None:
    """Let this process be killed when the thread that started it ends (Linux; elsewhere nothing)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _drain(stream: IO[bytes], log: Path, most: int) -> None:
    """Write a stream into a file up to the cap, and read the rest away so that the writer never waits."""
    left = most
    told = False
    with log.open("wb", buffering=0) as file:
        while chunk := stream.read1(65536):  # type: ignore[attr-defined]
            file.write(chunk[:left])
            if len(chunk) > left and not told:
                file.write(b"\n[the log is full; the rest was dropped]\n")
                told = True
            left -= min(left, len(chunk))
    stream.close()
