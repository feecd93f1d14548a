"""What grading found of each submission: one versioned JSON record, and what all of them say together."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from autograder.files import write_atomically
from autograder.results import Report
from labkit.errors import WorkbookError
from labkit.verdicts import Verdict


class Status(StrEnum):
    """How the grading of a submission ended, in order of gravity."""

    GRADED = "graded"
    MISSING = "missing"
    TIMEOUT = "timeout"
    CRASHED = "crashed"
    INVALID = "invalid"

    @classmethod
    def worst(cls, statuses: list[Status]) -> Status:
        """The gravest of several."""
        return max(statuses, key=list(cls).index, default=cls.GRADED)


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Problem(_Data):
    """Why a status is not `graded`.

    Attributes:
        status: The status that it leads to.
        message: What the learner reads, one sentence or two.
        detail: What the instructor reads as well.
    """

    status: Status
    message: str
    detail: str = ""

    @property
    def reason(self) -> str:
        """All of it, for the instructor."""
        return f"{self.message} ({self.detail})" if self.detail else self.message


class LabRecord(_Data):
    """What grading found of one lab.

    Attributes:
        lab: The lab's id.
        notebook: The notebook's name, without its ending.
        problems: What stood in the way; none if all went well.
        report: What the checks found, None if they could not be run.
        seconds: How long each phase took (`sanitise`, `run`, `judge`).
        isolation: How the notebook was kept apart while it ran, in words; empty if it was not run.
    """

    lab: str
    notebook: str
    problems: list[Problem] = Field(default_factory=list)
    report: Report | None = None
    seconds: dict[str, float] = Field(default_factory=dict)
    isolation: str = ""

    @property
    def status(self) -> Status:
        """How the lab's grading ended."""
        return Status.worst([problem.status for problem in self.problems])


class SubmissionRecord(_Data):
    """What grading found of one submission.

    Attributes:
        assignment: nbgrader's assignment.
        learner: Who handed it in.
        submitted: When, if that is known.
        late_seconds: How long after the due date.
        started: When the grading began.
        seconds: How long it took.
        problems: What concerns the whole submission.
        remarks: What is worth knowing and changes nothing (a notebook too many, a link left out).
        labs: Lab by lab.
    """

    schema_version: Literal[1] = 1
    assignment: str
    learner: str
    submitted: datetime | None = None
    late_seconds: float = 0.0
    started: datetime
    seconds: float = 0.0
    problems: list[Problem] = Field(default_factory=list)
    remarks: list[str] = Field(default_factory=list)
    labs: list[LabRecord] = Field(default_factory=list)

    @property
    def all_problems(self) -> list[Problem]:
        """The submission's problems and each lab's."""
        return [*self.problems, *(problem for lab in self.labs for problem in lab.problems)]

    @property
    def status(self) -> Status:
        """The gravest status of all."""
        return Status.worst([problem.status for problem in self.all_problems])

    @property
    def reason(self) -> str:
        """Why the status is not `graded`, for the instructor."""
        return " ".join(dict.fromkeys(problem.reason for problem in self.all_problems))

    @property
    def points(self) -> float:
        """What the checks gave; what a person grades is not in it."""
        return float(sum(lab.report.points for lab in self.labs if lab.report))

    def write(self, path: Path) -> None:
        """Write the record so that it is either whole or not there."""
        write_atomically(path, f"{self.model_dump_json(indent=2)}\n".encode())

    def with_labs_of(self, path: Path) -> SubmissionRecord:
        """This record with the labs that it lacks taken from an earlier one, where there is one."""
        earlier = self.read(path)
        judged = {lab.lab for lab in self.labs}
        others = [lab for lab in earlier.labs if lab.lab not in judged] if earlier else []
        return self.model_copy(update={"labs": sorted([*self.labs, *others], key=lambda lab: lab.notebook)})

    @classmethod
    def read(cls, path: Path) -> SubmissionRecord | None:
        """Read a record; None if there is none.

        Raises:
            WorkbookError: It is not one, or one of another version.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError as error:
            raise WorkbookError(
                f"{path.name} is not a record of grading.",
                why=f"{error.errors()[0]['msg']}.",
                next_step="Grade that submission again.",
            ) from error


class OwnError(_Data):
    """The grader's own fault, apart from what learners did: the submission was not graded, or not wholly."""

    learner: str
    where: str
    message: str


class Summary(_Data):
    """What one run of grading did.

    Attributes:
        assignment: nbgrader's assignment.
        seconds: How long it took.
        records: What is known of each submission, those graded by earlier runs too.
        kept: The learners whose work was graded before and has not changed since.
        own_errors: What went wrong on our side.
        refused: One sentence for each folder that bears no learner's name.
        grader_seconds: What the grader itself took: `plan`, `static pass`, `live pass` and, as a part of
            the passes, `record`.
    """

    assignment: str
    seconds: float
    kept: list[str] = Field(default_factory=list)
    grader_seconds: dict[str, float] = Field(default_factory=dict)
    records: list[SubmissionRecord] = Field(default_factory=list)
    own_errors: list[OwnError] = Field(default_factory=list)
    refused: list[str] = Field(default_factory=list)

    @property
    def statuses(self) -> dict[Status, int]:
        """How many submissions have each status."""
        counted = Counter(record.status for record in self.records)
        return {status: counted[status] for status in Status if counted[status]}

    @property
    def phases(self) -> dict[str, float]:
        """The workers' time for each phase, in seconds, of what this run graded."""
        total: Counter[str] = Counter()
        kept = set(self.kept)
        for record in self.records:
            for lab in record.labs if record.learner not in kept else ():
                total.update(lab.seconds)
        return {phase: round(seconds, 3) for phase, seconds in total.items()}

    def checks_with(self, *verdicts: Verdict) -> list[tuple[str, str, int]]:
        """The checks that ended in one of these verdicts: lab, title, how often; most often first."""
        counted = Counter(
            (lab.lab, outcome.title)
            for record in self.records
            for lab in record.labs
            if lab.report
            for outcome in lab.report.outcomes
            if outcome.verdict in verdicts
        )
        return [(lab, title, count) for (lab, title), count in counted.most_common()]
