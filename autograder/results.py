"""What a check found, and what all checks of a lab found: one versioned JSON schema for every host."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from labkit.verdicts import Tier, Verdict

SCHEMA_VERSION: Literal[1] = 1


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Outcome(_Data):
    """What one check found.

    Attributes:
        check: The check's name, without `test_`.
        title: What it asks, as the learner reads it.
        verdict: What was found.
        points: What was earned, never above `maximum`.
        maximum: What could be earned.
        evidence: What was seen, in one line and in the learner's terms.
        cause: Why, where it was found out.
        tier: What it was measured on.
        seconds: How long the check took.
        hidden: Whether the learner sees its title only.
        hints: How many hints there are.
        measured: The numbers behind the evidence, plain JSON values.
    """

    check: str
    title: str
    verdict: Verdict
    points: float = Field(ge=0, allow_inf_nan=False)
    maximum: float = Field(ge=0, allow_inf_nan=False)
    evidence: str = ""
    cause: str = ""
    tier: Tier = Tier.LOCAL
    seconds: float = Field(default=0.0, ge=0)
    hidden: bool = False
    hints: int = 0
    measured: dict[str, Any] = Field(default_factory=dict)


class Report(_Data):
    """What all checks of one lab found, in the order of the rubric."""

    schema_version: Literal[1] = SCHEMA_VERSION
    lab: str
    started: datetime
    seconds: float = 0.0
    outcomes: list[Outcome] = Field(default_factory=list)

    @property
    def points(self) -> float:
        """What was earned."""
        return float(sum(outcome.points for outcome in self.outcomes))

    @property
    def maximum(self) -> float:
        """What could be earned, without what this machine can't measure."""
        return float(sum(o.maximum for o in self.outcomes if o.verdict is not Verdict.NOT_MEASURED))

    @property
    def verdict(self) -> Verdict:
        """The most urgent verdict of all."""
        return Verdict.worst([outcome.verdict for outcome in self.outcomes])

    @property
    def tier(self) -> Tier:
        """The least real tier that any check was measured on."""
        order = list(Tier)
        return min((outcome.tier for outcome in self.outcomes), key=order.index, default=Tier.LOCAL)

    def outcome(self, check: str) -> Outcome | None:
        """The outcome of one check, if it was run."""
        return next((outcome for outcome in self.outcomes if outcome.check == check), None)

    def updated_by(self, newer: Report) -> Report:
        """This report with each outcome that `newer` has replaced by it (a run of one part only)."""
        fresh = {outcome.check: outcome for outcome in newer.outcomes}
        kept = [fresh.pop(outcome.check, outcome) for outcome in self.outcomes]
        return newer.model_copy(update={"outcomes": [*kept, *fresh.values()]})
