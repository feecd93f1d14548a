"""What lateness costs: read from `late.toml` in the course's folder, applied through nbgrader's own plugin.

Without the file lateness is shown and costs nothing::

    grace_minutes = 15      # as if it had been in time
    percent_per_day = 10    # of what was earned, for each day begun
    most_percent = 50       # never more than this
"""

from __future__ import annotations

import math
import tomllib
from pathlib import Path
from typing import Any

from nbgrader.plugins import BasePlugin
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from traitlets import Float

from labkit.errors import WorkbookError

FILE = "late.toml"
_DAY = 86_400


class LatePolicy(BaseModel):
    """A late policy.

    Attributes:
        grace_minutes: How long after the due date work still counts as in time.
        percent_per_day: What each day begun costs, in percent of the points that were earned.
        most_percent: What lateness costs at most.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    grace_minutes: float = Field(default=0, ge=0)
    percent_per_day: float = Field(default=0, ge=0, le=100)
    most_percent: float = Field(default=100, ge=0, le=100)

    def penalty(self, score: float, seconds_late: float) -> float:
        """The points that work of `score` points loses when it is `seconds_late` after the due date."""
        if seconds_late <= self.grace_minutes * 60:
            return 0.0
        percent = min(self.percent_per_day * math.ceil(seconds_late / _DAY), self.most_percent)
        return score * percent / 100


def read_late_policy(folder: Path) -> LatePolicy:
    """The policy of a course.

    Raises:
        WorkbookError: `late.toml` is not TOML or says what no policy says.
    """
    path = folder / FILE
    try:
        return LatePolicy.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return LatePolicy()
    except (ValueError, OSError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        said = f"{'.'.join(map(str, first['loc']))}: {first['msg']}" if first else str(error)
        raise WorkbookError(
            f"{FILE} can't be used.",
            why=f"{said}.",
            next_step="It may name grace_minutes, percent_per_day and most_percent, each with a number.",
        ) from error


class LatePenalty(BasePlugin):  # type: ignore[misc]
    """nbgrader's plugin for the policy; its numbers are those of `LatePolicy`."""

    grace_minutes = Float(0.0).tag(config=True)
    percent_per_day = Float(0.0).tag(config=True)
    most_percent = Float(100.0).tag(config=True)

    def late_submission_penalty(self, student_id: str, score: float, total_seconds_late: float) -> float:
        """What is taken off; nbgrader calls it for late work alone."""
        policy = LatePolicy(
            grace_minutes=self.grace_minutes,
            percent_per_day=self.percent_per_day,
            most_percent=self.most_percent,
        )
        return policy.penalty(score, total_seconds_late)


def configure(config: Any, folder: Path) -> None:
    """Tell nbgrader of the course's policy, in place."""
    config.AssignLatePenalties.plugin_class = LatePenalty
    for name, value in read_late_policy(folder).model_dump().items():
        setattr(config.LatePenalty, name, float(value))
