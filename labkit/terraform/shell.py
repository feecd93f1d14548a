"""Runs command lines one after another where a guard lets them, and gives their output line by line.

One process of ours stays for all of them, so that a sandbox keeps its files and its network between two
commands; it is told what to run across a pipe.
"""

from __future__ import annotations

import json
import os
import select
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any

from labkit.errors import Unavailable, WorkFault
from labkit.isolation import guard as guards
from labkit.isolation.guard import PYTHON, SERVED, Guard
from labkit.isolation.limits import Limits
from labkit.isolation.mounts import Shown
from labkit.isolation.network import Network

OUTPUT_BYTES = 32 << 20
_SLACK = 15.0

Say = Callable[[str], None]


@dataclass(frozen=True)
class Ended:
    """A command that has ended.

    Attributes:
        exit_code: Its exit code; negative if a signal ended it.
        output: What it printed, its errors too.
        seconds: How long it took.
        timed_out: Whether it was ended because its time was up.
    """

    exit_code: int
    output: str
    seconds: float
    timed_out: bool


class Shell:
    """Runs commands in a folder; as a context manager it ends what still runs.

    Attributes:
        scratch: A folder for files of ours, as the commands see it; gone with the shell.

    Args:
        folder: Their folder; under a guard, a copy of it.
        log: Where our own process says what is wrong with it.
        shown: Files of this machine that the commands need.
        guard: What keeps them apart; that of this process by default.
        limits: What they may use.
    """

    def __init__(
        self,
        folder: Path,
        *,
        log: Path,
        shown: Iterable[Shown] = (),
        guard: Guard | None = None,
        limits: Limits = SERVED,
    ) -> None:
        self.guard = guard or guards.current()
        inside_reads, self._to = os.pipe()
        self._from, inside_writes = os.pipe()
        handles = (inside_reads, inside_writes)
        self._pending = b""
        try:
            self._guarded = self.guard.start(
                [PYTHON, "-m", "labkit.terraform.shell_process", *map(str, handles)],
                folder,
                log=log,
                pass_fds=handles,
                shown=shown,
                limits=limits,
            )
        except BaseException:
            os.close(self._to)
            os.close(self._from)
            raise
        finally:
            for handle in handles:
                os.close(handle)
        try:
            self.scratch = PurePosixPath(str(self._receive(time.monotonic() + _SLACK).get("scratch")))
        except BaseException:
            self.close()
            raise

    @property
    def home(self) -> Path:
        """The commands' folder, seen from outside; under a guard, untrusted."""
        return self._guarded.home

    @property
    def network(self) -> Network | None:
        """The network that the commands have; None if that is the machine's."""
        return self._guarded.network

    def run(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        seconds: float = 120.0,
        say: Say = lambda line: None,
        folder: str = "",
    ) -> Ended:
        """Run a command to its end.

        It gets SIGINT when its time is up, or when this call is interrupted, and a while to let go of what it
        holds.

        Args:
            command: A program and its arguments.
            environment: Variables to add to those that have nothing to do with clouds.
            seconds: How long it may take.
            say: Told each line as it is printed.
            folder: Where it runs, below the commands' folder; there by default.

        Raises:
            WorkFault: It ended our own process.
        """
        began = time.monotonic()
        asked = {
            "run": list(command),
            "environment": dict(environment or {}),
            "seconds": seconds,
            "folder": folder,
        }
        self._send(asked)
        lines: list[str] = []
        size = 0
        try:
            while True:
                said = self._receive(began + seconds + _SLACK)
                if "exit" in said:
                    took = time.monotonic() - began
                    return Ended(int(said["exit"]), "\n".join(lines), took, bool(said.get("timed_out")))
                line = str(said.get("line", ""))
                size += len(line)
                if size < OUTPUT_BYTES:
                    lines.append(line)
                    say(line)
        except KeyboardInterrupt:
            self._send({"cancel": True})
            with suppress(WorkFault):
                while "exit" not in self._receive(time.monotonic() + _SLACK):
                    continue
            raise

    def start(self, command: Sequence[str], *, environment: Mapping[str, str] | None = None) -> None:
        """Start a command that goes on beside the others until this is closed."""
        self._ask({"start": list(command), "environment": dict(environment or {})})

    def write(self, path: str | PurePosixPath, text: str) -> None:
        """Write a file as the commands see it: relative to their folder, or below `scratch`.

        It is written from inside: whatever a path may have become there, nothing outside is reached.
        """
        self._ask({"write": str(path), "text": text})

    def remove(self, path: str | PurePosixPath) -> None:
        """Remove such a file; harmless if there is none."""
        self._ask({"remove": str(path)})

    def close(self) -> None:
        """End everything that runs."""
        for handle in (self._to, self._from):
            with suppress(OSError):
                os.close(handle)
        self._guarded.close()

    def __enter__(self) -> Shell:
        """It runs already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        self.close()

    def _ask(self, message: Mapping[str, Any]) -> None:
        self._send(message)
        answer = self._receive(time.monotonic() + _SLACK)
        if "failed" in answer:
            raise WorkFault(f"This could not be done beside the commands: {answer['failed']}.")

    def _send(self, message: Mapping[str, Any]) -> None:
        try:
            os.write(self._to, json.dumps(message).encode() + b"\n")
        except BrokenPipeError as error:
            raise self._gone() from error

    def _receive(self, deadline: float) -> dict[str, Any]:
        while b"\n" not in self._pending:
            ready, _, _ = select.select([self._from], [], [], max(0.0, deadline - time.monotonic()))
            part = os.read(self._from, 1 << 20) if ready else b""
            if not part or len(self._pending) > OUTPUT_BYTES:
                raise self._gone()
            self._pending += part
        line, _, self._pending = self._pending.partition(b"\n")
        try:
            said = json.loads(line)
        except ValueError as error:
            raise self._gone() from error
        return said if isinstance(said, dict) else {}

    def _gone(self) -> WorkFault | Unavailable:
        last = " ".join(self._guarded.process.last_lines(2))[-300:]
        return WorkFault("What ran the commands has ended.", why=last or "It used more than it may.")
