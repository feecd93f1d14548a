"""What the author of a rubric writes with: points, hints, evidence and readings.

A check is a pytest test. Its docstring's first line is its title, and its marks say the rest::

    @after("test_predictions")
    @points(4, hints=["Measure one request alone first.", "Who waits while the model runs?"])
    def test_latency(server):
        \"\"\"p99 under 100 ms at 200 requests/s\"\"\"
        require(judge(measure(server), OBJECTIVE))

A check passes when it returns. `require` and `credit` record the evidence either way; a plain failed
`assert` is a failed check too, with its message as the evidence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest

from labkit.verdicts import Judgement, Tier, Verdict

_Check = TypeVar("_Check", bound=Callable[..., Any])

QUIET_MACHINE = "quiet machine"


# ---- marks ------------------------------------------------------------------------------------------------


def points(maximum: float, *, hints: list[str] | None = None) -> Callable[[_Check], _Check]:
    """What a check is worth, and its hints from a nudge to nearly the answer."""
    return pytest.mark.points(maximum, hints=list(hints or []))


def after(*tests: str) -> Callable[[_Check], _Check]:
    """The checks that have to pass first; until then this one is blocked."""
    return pytest.mark.after(*tests)


def needs(*resources: str) -> Callable[[_Check], _Check]:
    """What a check needs besides the files (`server`, `engine`, `cluster`, `gpu`, `quiet machine`).

    A check without needs is static: when a week is graded, those of all learners come first, the others
    after them. One that needs a `quiet machine` measures time, and has the machine to itself. Where the
    machine lacks what is needed, the check is not measured.
    """
    return pytest.mark.needs(*resources)


def hidden(check: _Check) -> _Check:
    """A check that runs only when work is graded; the learner sees its title alone."""
    marked: _Check = pytest.mark.hidden(check)
    return marked


@dataclass(frozen=True)
class Reading:
    """A text that a person grades: what the learner reads in a plot, or a choice that they argue for.

    Attributes:
        name: The tag of its cell in the notebook's source.
        points: What it is worth.
        criteria: What earns the points, for the instructor: (points, what the answer says).
    """

    name: str
    points: float
    criteria: tuple[tuple[float, str], ...] = ()


def reading(name: str, *, points: float, criteria: list[tuple[float, str]]) -> Reading:
    """Declare a manually graded reading; its criteria add up to its points."""
    if sum(worth for worth, _ in criteria) != points:
        raise ValueError(f"the criteria of the reading {name!r} do not add up to {points} points")
    return Reading(name, points, tuple(criteria))


# ---- evidence ---------------------------------------------------------------------------------------------


class Finding(Exception):
    """Ends a check with a verdict, its evidence and its share of the points."""

    def __init__(self, judgement: Judgement, *, cause: str = "", share: float = 0.0) -> None:
        self.judgement = judgement
        self.cause = cause
        self.share = share
        super().__init__(judgement.summary)


@dataclass
class Evidence:
    """What the running check has recorded so far; the plugin starts a new one for each check."""

    lines: list[str] = field(default_factory=list)
    measured: dict[str, Any] = field(default_factory=dict)
    tier: Tier = Tier.LOCAL
    progress: Callable[[str, float | None], None] = lambda *_: None


_current = Evidence()


def start_evidence(progress: Callable[[str, float | None], None]) -> Evidence:
    """Begin the evidence of the next check (for the plugin)."""
    global _current
    _current = Evidence(progress=progress)
    return _current


def require(found: bool | Judgement, evidence: str = "", *, cause: str = "") -> None:
    """Go on if that holds, else end the check as failed (or as the judgement says).

    Args:
        found: A plain condition, or the judgement of a measurement.
        evidence: What was seen, passed or not ("200 of 200 within 1e-5").
        cause: Why it is so, shown only when the check does not pass.
    """
    if isinstance(found, Judgement):
        judgement = found
    else:
        judgement = Judgement(Verdict.PASSED if found else Verdict.FAILED, evidence)
    _current.measured.update(judgement.measured)
    _current.tier = min(_current.tier, judgement.tier, key=list(Tier).index)
    if judgement.verdict is not Verdict.PASSED:
        raise Finding(judgement, cause=cause)
    if judgement.summary:
        _current.lines.append(judgement.summary)


def credit(earned: float, out_of: float, evidence: str, *, cause: str = "") -> None:
    """Go on if all was earned, else end the check with that share of its points.

    Args:
        earned: How many of `out_of` hold.
        out_of: How many there are, above 0.
        evidence: What was seen ("10 of 12 kinds answered 422").
        cause: Which ones are missing, and why.
    """
    share = min(max(earned / out_of, 0.0), 1.0)
    if share < 1.0:
        raise Finding(Judgement(Verdict.FAILED, evidence), cause=cause, share=share)
    _current.lines.append(evidence)


def not_measured(reason: str) -> None:
    """End the check as not measured: this machine can't, and the reason says what would."""
    raise Finding(Judgement(Verdict.NOT_MEASURED, reason))


def measured_on(tier: Tier) -> None:
    """Say that what the running check looks at is less real than this machine: an emulated account."""
    _current.tier = min(_current.tier, tier, key=list(Tier).index)


def progress(message: str, seconds_left: float | None = None) -> None:
    """Tell the person who waits what the check is doing, and for how long still."""
    _current.progress(message, seconds_left)
