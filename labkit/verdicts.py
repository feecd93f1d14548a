"""One vocabulary for all results: what was found (`Verdict`) and on what it was found (`Tier`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """What a check or a measurement found.

    The order is that of urgency: the verdict of several checks is the last one that any of them has.
    """

    PASSED = "passed"
    NOT_MEASURED = "not_measured"
    BLOCKED = "blocked"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    ERROR = "error"

    @property
    def words(self) -> str:
        """The verdict as a person reads it."""
        return {"not_measured": "not measured", "error": "error on our side"}.get(self.value, self.value)

    @property
    def needs_manual_grade(self) -> bool:
        """Whether a person has to look before points can be given."""
        return self in (Verdict.INCONCLUSIVE, Verdict.NOT_MEASURED, Verdict.ERROR)

    @property
    def exit_code(self) -> int:
        """The exit code of a command that ends in this verdict."""
        return {"failed": 1, "blocked": 1, "inconclusive": 3, "error": 4}.get(self.value, 0)

    @classmethod
    def worst(cls, verdicts: list[Verdict]) -> Verdict:
        """The most urgent of several verdicts; none at all is `NOT_MEASURED`."""
        order = list(cls)
        return max(verdicts, key=order.index, default=cls.NOT_MEASURED)


class Tier(StrEnum):
    """What a result was measured on, from the least real to the most."""

    SIMULATED = "simulated"
    LOCAL = "local"
    REAL = "real"


@dataclass(frozen=True)
class Judgement:
    """A measurement held against an objective.

    Attributes:
        verdict: What was found.
        summary: The evidence in one line, with its number and its bound
            ("p99 312 ms, at least 231 (99 %); 4.1 % late").
        tier: What it was measured on.
        measured: The numbers behind the summary, plain JSON values only.
    """

    verdict: Verdict
    summary: str
    tier: Tier = Tier.LOCAL
    measured: dict[str, Any] = field(default_factory=dict)
