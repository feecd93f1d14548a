"""The pytest plugin under every check: it turns tests into outcomes and sends them out one by one.

It runs in a process of its own (`autograder.checking` starts it), and only JSON lines leave that process:
`{"started": check}`, `{"progress": check, "message": ..., "seconds_left": ...}` and `{"outcome": {...}}`.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from autograder import machine, resources
from autograder.loading import CheckSpec, check_spec
from autograder.results import Outcome
from autograder.rubric import Evidence, Finding, start_evidence
from labkit.errors import Unavailable, WorkbookError, WorkFault
from labkit.isolation import guard
from labkit.processes import adopt_orphans, end_descendants
from labkit.verdicts import Judgement, Tier, Verdict

pytest_plugins = ["autograder.fixtures"]

CHECK_SECONDS = 120
"""No check may take longer; one that does is an error on our side."""


class TooLong(Exception):
    """The check took longer than `CHECK_SECONDS`."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """What `autograder.checking` hands in."""
    group = parser.getgroup("workbook")
    group.addoption("--work", type=Path, help="the learner's folder of the assignment")
    group.addoption("--events", type=int, help="the file descriptor that outcomes are written to")
    group.addoption("--logs", type=Path, help="where servers' logs are kept")
    group.addoption("--only", default="", help="the checks to run, comma-separated; all by default")
    group.addoption("--grading", action="store_true", help="run hidden checks too")
    group.addoption("--fenced", action="store_true", help="run what the learner made in sandboxes")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marks and, when `autograder.checking` started us, the runner."""
    for mark in ("points(maximum, hints)", "after(*tests)", "needs(*resources)", "hidden"):
        config.addinivalue_line("markers", f"{mark}: see autograder.rubric")
    if config.getoption("--work") is not None:
        adopt_orphans()
        if config.getoption("--fenced"):
            guard.use(guard.Sandboxed())
        config.pluginmanager.register(Runner(config), "workbook-runner")


@dataclass
class _Running:
    """The check that runs now."""

    spec: CheckSpec
    evidence: Evidence
    started: float = field(default_factory=time.monotonic)
    ending: BaseException | None = None
    broke_in_teardown: bool = False


class Runner:
    """Runs the wanted checks in order, blocks those whose dependencies did not pass, sends outcomes."""

    def __init__(self, config: pytest.Config) -> None:
        self.grading: bool = config.getoption("--grading")
        self.fenced: bool = config.getoption("--fenced")
        self.only = {name for name in config.getoption("--only").split(",") if name}
        self._events: int = config.getoption("--events")
        self._verdicts: dict[str, Verdict] = {}
        self._running: _Running | None = None
        signal.signal(signal.SIGTERM, _interrupt)
        signal.signal(signal.SIGALRM, _too_long)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keep the wanted checks."""
        if self.only:
            items[:] = [item for item in items if item.name.removeprefix("test_") in self.only]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Function) -> Generator[None, Any, Any]:
        """Run one check from its fixtures to its outcome."""
        spec = check_spec(item.function)
        self._send({"started": spec.name})
        say = self._progress_of(spec)
        with machine.alone(say) if spec.timed else machine.shared(say):
            self._running = _Running(spec, start_evidence(say))
            signal.alarm(CHECK_SECONDS)
            try:
                ran = yield
            finally:
                signal.alarm(0)
        # An interrupt never comes here: what did not end has no outcome.
        outcome = self._outcome(self._running)
        self._verdicts[spec.name] = outcome.verdict
        self._send({"outcome": outcome.model_dump(mode="json")})
        return ran

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """End a check before it starts that is hidden, blocked or lacks what it needs."""
        assert self._running is not None
        spec = self._running.spec
        if spec.hidden and not self.grading:
            raise _finding(Verdict.NOT_MEASURED, "runs when your work is graded")
        waiting = [name for name in spec.after if self._verdicts.get(name) is not Verdict.PASSED]
        if waiting:
            raise _finding(Verdict.BLOCKED, f"waits until this passes: {', '.join(waiting)}")
        for resource in spec.needs:
            resources.require(resource, fenced=self.fenced)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, Any, Any]:
        """Remember how the check ended."""
        assert self._running is not None
        if call.excinfo is not None and self._running.ending is None:
            self._running.ending = call.excinfo.value
            self._running.broke_in_teardown = call.when == "teardown"
        return (yield)

    def pytest_sessionfinish(self) -> None:
        """Leave nothing running that a check or a learner's server started."""
        end_descendants()

    def _progress_of(self, spec: CheckSpec) -> Any:
        return lambda message, seconds_left=None: self._send(
            {"progress": spec.name, "message": message, "seconds_left": seconds_left}
        )

    def _send(self, event: dict[str, Any]) -> None:
        os.write(self._events, json.dumps(event).encode() + b"\n")

    def _outcome(self, running: _Running) -> Outcome:
        spec, evidence = running.spec, running.evidence
        verdict, text, cause, share = _ended(running)
        measured, tier = dict(evidence.measured), evidence.tier
        if isinstance(running.ending, Finding):
            measured.update(running.ending.judgement.measured)
            tier = min(tier, running.ending.judgement.tier, key=list(Tier).index)
        return Outcome(
            check=spec.name,
            title=spec.title,
            verdict=verdict,
            points=round(spec.points * share, 2),
            maximum=spec.points,
            evidence=text,
            cause=cause,
            tier=tier,
            seconds=round(time.monotonic() - running.started, 3),
            hidden=spec.hidden,
            hints=len(spec.hints),
            measured=measured,
        )


def _ended(running: _Running) -> tuple[Verdict, str, str, float]:
    """The verdict, the evidence, the cause and the share of the points that an ending stands for."""
    ending = running.ending
    if ending is None:
        return Verdict.PASSED, " · ".join(running.evidence.lines), "", 1.0
    if isinstance(ending, Finding):
        return ending.judgement.verdict, ending.judgement.summary, ending.cause, ending.share
    if isinstance(ending, WorkFault):
        return Verdict.FAILED, ending.what, _join(ending), 0.0
    if isinstance(ending, Unavailable):
        return Verdict.NOT_MEASURED, ending.what, _join(ending), 0.0
    if isinstance(ending, AssertionError) and not running.broke_in_teardown:
        return Verdict.FAILED, (str(ending).strip() or "it does not hold").splitlines()[0], "", 0.0
    if isinstance(ending, TooLong):
        return Verdict.ERROR, f"The check did not end within {CHECK_SECONDS} s.", _OUR_FAULT, 0.0
    said = _join(ending) if isinstance(ending, WorkbookError) else _OUR_FAULT
    return Verdict.ERROR, f"The check itself broke ({type(ending).__name__}: {ending})."[:500], said, 0.0


_OUR_FAULT = "This is not your work's fault: it is reported to whoever looks after the course."


def _join(error: WorkbookError) -> str:
    return " ".join(part for part in (error.why, error.next_step) if part)


def _finding(verdict: Verdict, summary: str) -> Finding:
    return Finding(Judgement(verdict, summary))


def _interrupt(signum: int, frame: FrameType | None) -> None:
    """SIGTERM ends the session as Ctrl-C does, so that fixtures stop their servers."""
    raise KeyboardInterrupt


def _too_long(signum: int, frame: FrameType | None) -> None:
    raise TooLong
