"""Runs a lab's checks in a process of their own and gives their outcomes as they arrive."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import psutil

import autograder
from autograder import resources
from autograder.loading import CheckSpec, Rubric, load_rubric
from autograder.plugin import CHECK_SECONDS
from autograder.results import Outcome, Report
from labkit.course import Lab, find_course
from labkit.errors import WorkbookError
from labkit.isolation.isolation import isolation_here
from labkit.processes import die_with_parent, end
from labkit.verdicts import Verdict

_UNUSED_PLUGINS = (
    *("cacheprovider", "debugging", "doctest", "faulthandler", "junitxml", "legacypath", "logging"),
    *("pastebin", "recwarn", "setuponly", "setupplan", "stepwise", "subtests", "threadexception"),
    *("unittest", "unraisableexception", "warnings"),
)
"""What pytest brings and no check uses: half of what starting it takes."""


@dataclass(frozen=True)
class Started:
    """A check has begun."""

    check: str


@dataclass(frozen=True)
class Progress:
    """A check says what it does, and for how long still where it knows."""

    check: str
    message: str
    seconds_left: float | None = None

    @property
    def words(self) -> str:
        """As a person reads it."""
        return f"{self.message}, {self.seconds_left:.0f} s left" if self.seconds_left else self.message


Event = Started | Progress | Outcome


def run_checks(
    lab: Lab,
    work: Path,
    *,
    parts: Sequence[str] | None = None,
    grading: bool = False,
    fenced: bool = False,
    on_event: Callable[[Event], None] | None = None,
    logs: Path | None = None,
    start: Start | None = None,
) -> Report:
    """Judge the learner's files.

    Args:
        lab: Which lab.
        work: The learner's folder of the assignment; it holds the lab's folder (`01_fastapi_server/`).
        parts: The checks to run, and with them what they depend on; all by default.
        grading: Run the hidden checks too.
        fenced: Run what the learner made (a server, a function) in sandboxes: it is not our own.
        on_event: Told what happens while it happens.
        logs: Where servers' logs are kept, `build/logs` by default.
        start: Starts pytest; a fresh interpreter by default.

    Returns:
        One outcome for each check that was asked for or depended on, in the rubric's order.

    Raises:
        WorkbookError: The folder or the check does not exist.
        Unavailable: It should be fenced, and there is no sandbox here.
    """
    if fenced:
        isolation_here()
    rubric = load_rubric(lab)
    specs = rubric.with_dependencies(list(parts)) if parts else list(rubric.checks)
    if not work.is_dir():
        raise WorkbookError(
            f"There is no folder {work.name}.",
            why=f"The work of {lab.id} was looked for there.",
            next_step="`workbook lab` makes your copy; run the check from inside it.",
        )
    logs = logs or find_course().build / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    resources.start({resource for spec in specs for resource in spec.needs}, fenced=fenced)
    started = datetime.now(UTC)
    outcomes: dict[str, Outcome] = {}

    def receive(event: Event) -> None:
        if isinstance(event, Outcome):
            outcomes[event.check] = event
        if on_event is not None:
            on_event(event)

    arguments = _arguments(rubric, work.resolve(), specs, logs.resolve(), grading=grading, fenced=fenced)
    with (logs / f"{lab.id.replace('/', '-')}-checks.log").open("wb") as log:
        ended = _run(start or fresh_interpreter, arguments, log.fileno(), receive)
    for spec in specs:
        if spec.name not in outcomes:
            receive(_lost(spec, ended, log.name))
    return Report(
        lab=lab.id,
        started=started,
        seconds=round((datetime.now(UTC) - started).total_seconds(), 3),
        outcomes=[outcomes[spec.name] for spec in specs],
    )


def _arguments(
    rubric: Rubric, work: Path, specs: list[CheckSpec], logs: Path, *, grading: bool, fenced: bool
) -> list[str]:
    root = rubric.path.parent.parent
    unused = (part for name in _UNUSED_PLUGINS for part in ("-p", f"no:{name}"))
    return [
        *(str(rubric.path), "-p", "autograder.plugin", "-c", os.devnull, "-q"),
        *unused,
        *(f"--rootdir={root}", f"--confcutdir={root}"),
        *(f"--work={work}", f"--logs={logs}", f"--only={','.join(spec.name for spec in specs)}"),
        *(["--grading"] if grading else []),
        *(["--fenced"] if fenced else []),
    ]


class Running(Protocol):
    """The process that runs the checks, as `subprocess.Popen` has it."""

    pid: int

    def poll(self) -> int | None:
        """The exit code, or None while it runs."""

    def wait(self) -> int:
        """The exit code, once it has ended."""

    def send_signal(self, sig: int) -> None:
        """Send it a signal."""

    def kill(self) -> None:
        """Kill it."""


Start = Callable[[list[str], int, int], Running]
"""Starts pytest with arguments, the descriptor that events are written to, and that of the log."""


def fresh_interpreter(arguments: list[str], events: int, log: int) -> Running:
    """Run pytest in an interpreter of its own."""
    package_root = str(Path(autograder.__file__).parent.parent)
    paths = [package_root, *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        pass_fds=[events],
        start_new_session=True,
        preexec_fn=die_with_parent,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": os.pathsep.join(paths)},
    )


def _run(start: Start, arguments: list[str], log: int, receive: Callable[[Event], None]) -> str:
    """Run pytest until it ends, a check hangs, or we are interrupted; gives how it ended."""
    reading, writing = os.pipe()
    with (
        os.fdopen(reading, "rb", buffering=0) as pipe,
        _ended_with_all(start([*arguments, f"--events={writing}"], writing, log)) as process,
    ):
        os.close(writing)
        for line in _lines(pipe, patience=CHECK_SECONDS + 15):
            if line is None:
                return f"the check did not end within {CHECK_SECONDS} s"
            receive(_event(line))
        code = process.wait()
        return f"the checks ended early, with exit code {code}"


def _lines(pipe: Any, patience: float) -> Iterator[bytes | None]:
    """Lines as they come; None once nothing came for that many seconds; ends with the pipe."""
    buffer = b""
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while True:
            if not selector.select(patience):
                yield None
                return
            chunk = pipe.read(65536)
            if not chunk:
                return
            *lines, buffer = (buffer + chunk).split(b"\n")
            yield from lines


def _event(line: bytes) -> Event:
    value = json.loads(line)
    if "started" in value:
        return Started(value["started"])
    if "progress" in value:
        return Progress(value["progress"], value["message"], value["seconds_left"])
    return Outcome.model_validate(value["outcome"])


@contextmanager
def _ended_with_all(process: Running) -> Iterator[Running]:
    """End the process with all that it started, however we leave."""
    try:
        yield process
    finally:
        if process.poll() is None:
            family = psutil.Process(process.pid).children(recursive=True)
            process.send_signal(signal.SIGTERM)  # as Ctrl-C: it stops its servers itself
            deadline = time.monotonic() + 5
            while process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.02)
            end([p for p in family if p.is_running()], grace=0.5)
            process.kill()
            process.wait()


def _lost(spec: CheckSpec, ended: str, log: str) -> Outcome:
    return Outcome(
        check=spec.name,
        title=spec.title,
        verdict=Verdict.ERROR,
        points=0,
        maximum=spec.points,
        evidence=f"There is no result: {ended}.",
        cause=f"This is not your work's fault. The checks' own log is {Path(log).name} in build/logs.",
        hidden=spec.hidden,
        hints=len(spec.hints),
    )
