"""Worker processes on this machine: they get units of work, and one that is killed is replaced."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol, Self

import psutil

import autograder
from autograder.nbgrading.judging import Part
from autograder.nbgrading.preparing import Phase
from autograder.nbgrading.worker import Place, Unit
from labkit.errors import WorkbookError
from labkit.processes import end

AT_ONCE = 2
"""How many static units a worker has before it, so that it never waits for the next."""
_GRACE_SECONDS = 5.0
_BOOT = (
    "import os, runpy, sys; from labkit.processes import die_with_parent; die_with_parent(); "
    "os.getppid() == int(sys.argv[2]) or os._exit(0); "
    "sys.modules['rfc3987_syntax'] = None; "
    "runpy.run_module('autograder.nbgrading.worker', run_name='__main__')"
)
"""Ties the process to this one before it loads what takes seconds: we may be killed meanwhile.

jsonschema would load a grammar for a format that no notebook has (IRI), which takes as long as all the rest:
without it, it does as if that were not installed.
"""
TRIES = 3
"""How often a unit is given out whose worker ends without an answer."""


@dataclass(frozen=True)
class Returned:
    """What came back of a unit; what was found lies in the spool.

    Attributes:
        unit: The unit.
        more: Whether live checks follow.
        error: What went wrong on our side; empty if nothing did.
        errno: The system's number of that error, if it has one.
    """

    unit: Unit
    more: bool = False
    error: str = ""
    errno: int | None = None


class Workers(Protocol):
    """Does units of work somewhere."""

    def run(self, units: Iterable[Unit]) -> Iterator[Returned]:
        """Do the units; gives each once, in the order in which they end."""

    def __enter__(self) -> Self:
        """Be ready."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all that was started."""


@dataclass
class _Worker:
    """One process and what it is at."""

    process: subprocess.Popen[bytes]
    ready: bool = False
    units: deque[tuple[Unit, int]] = field(default_factory=deque)
    """What it was given, the one that it is at first, and how often each was tried before."""
    buffer: bytes = b""

    @property
    def out(self) -> IO[bytes]:
        """Where its messages come from."""
        assert self.process.stdout is not None
        return self.process.stdout

    def give(self, unit: Unit, tries: int) -> None:
        """Let it work; one that has just ended is noticed when its messages end."""
        self.units.append((unit, tries))
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.write(unit.to_json().encode() + b"\n")
            self.process.stdin.flush()


@dataclass
class LocalWorkers:
    """Worker processes on this machine.

    Attributes:
        place: Where they find the job and leave results.
        jobs: How many.
        say: Told of each phase.
    """

    place: Place
    jobs: int
    say: Callable[[Phase], None]
    _workers: list[_Worker] = field(default_factory=list)
    _selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    _died_at_start: int = 0

    def run(self, units: Iterable[Unit]) -> Iterator[Returned]:
        """Do the units; gives each once, in the order in which they end.

        Raises:
            WorkbookError: No worker can be started.
        """
        source = iter(units)
        again: deque[tuple[Unit, int]] = deque()
        waiting = next(source, None)
        while True:
            for depth in range(self._in_line(again[0][0] if again else waiting)):
                for worker in self._workers:
                    if not worker.ready or len(worker.units) > depth:
                        continue
                    if again:
                        worker.give(*again.popleft())
                    elif waiting is not None:
                        worker.give(waiting, 0)
                        waiting = next(source, None)
            if not (again or waiting or any(worker.units for worker in self._workers)):
                return
            if (again or waiting) and len(self._workers) < self.jobs:
                self._start()
            for key, _ in self._selector.select():
                worker = key.data
                chunk = worker.out.read1(1 << 20)
                if chunk:
                    yield from self._receive(worker, chunk)
                    continue
                lost = self._lose(worker)
                again.extend(lost[1:])
                for unit, tries in lost[:1]:  # the one that it was at
                    if tries + 1 < TRIES:
                        again.append((unit, tries + 1))
                    else:
                        yield Returned(unit, error=f"Its worker ended {TRIES} times.")

    def _in_line(self, unit: Unit | None) -> int:
        """How many units a worker may have, one like this among them.

        None waits behind one that takes minutes, or while a worker for it could be, or is being, started.
        """
        quick = unit is not None and unit.part is Part.STATIC
        whole = len(self._workers) == self.jobs and all(worker.ready for worker in self._workers)
        return AT_ONCE if quick and whole else 1

    def _receive(self, worker: _Worker, chunk: bytes) -> Iterator[Returned]:
        *lines, worker.buffer = (worker.buffer + chunk).split(b"\n")
        for line in lines:
            message: dict[str, Any] = json.loads(line)
            if "phase" in message:
                self.say(Phase(**message["phase"]))
            elif "ready" in message:
                worker.ready, self._died_at_start = True, 0
            elif worker.units:
                unit, _ = worker.units.popleft()
                if "done" in message:
                    yield Returned(unit, more=message["more"])
                else:
                    yield Returned(unit, error=message["error"], errno=message["errno"])

    def _start(self) -> None:
        root = str(Path(autograder.__file__).parent.parent)
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        Path(self.place.logs).mkdir(parents=True, exist_ok=True)
        with (Path(self.place.logs) / "workers.log").open("ab") as log:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-P", "-c", _BOOT),
                    *(self.place.to_json(), str(os.getpid())),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
            )
        worker = _Worker(process)
        self._workers.append(worker)
        self._selector.register(worker.out, selectors.EVENT_READ, worker)

    def _lose(self, worker: _Worker) -> list[tuple[Unit, int]]:
        """Take leave of a worker that has ended; gives what it was given, what it was at first."""
        self._selector.unregister(worker.out)
        self._workers.remove(worker)
        self._close(worker)
        if not worker.units:
            self._died_at_start += not worker.ready
            if self._died_at_start >= TRIES:
                raise WorkbookError(
                    "The worker processes that grade can't be started.",
                    why=f"Each ended at once, the last with exit code {worker.process.returncode}.",
                    next_step=f"{Path(self.place.logs) / 'workers.log'} says more.",
                )
        return list(worker.units)

    def _close(self, worker: _Worker) -> None:
        try:
            family = psutil.Process(worker.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            family = []
        assert worker.process.stdin is not None
        with suppress(BrokenPipeError):
            worker.process.stdin.close()
        if not worker.units:  # it ends by itself, and what it started with it
            with suppress(subprocess.TimeoutExpired):
                worker.process.wait(_GRACE_SECONDS)
        worker.process.kill()
        worker.process.wait()
        end([process for process in family if process.is_running()], grace=2.0)
        worker.out.close()

    def __enter__(self) -> Self:
        """Workers are started when there is work for them."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all workers with all that they started."""
        for worker in self._workers:
            self._close(worker)
        self._workers.clear()
        self._selector.close()
