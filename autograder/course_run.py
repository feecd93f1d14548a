"""The run that shows it all (`make course`): every lab's reference, the sample cohort, and the report."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from autograder import resources
from autograder.checking import run_checks
from autograder.cohort import lay_cohort
from autograder.handouts import lay_tree
from autograder.loading import load_rubric
from autograder.nbgrading.chain import export, feedback, release
from autograder.nbgrading.grading import Done, grade
from autograder.nbgrading.job import Settings
from autograder.results import Report
from autograder.run import run_notebook
from labkit.course import Course, Lab
from labkit.errors import Unavailable, WorkbookError

_QUICKEST = {"week10_kubernetes": "week10/kubeflow"}
"""Where the live checks of a week's first lab take minutes a learner: the lab that is taken instead."""


@dataclass(frozen=True)
class LabRun:
    """What the reference of one lab earned when its notebook was executed.

    Attributes:
        lab: The lab's id.
        seconds: How long the notebook took.
        report: What the checks in it found.
        notebook: The executed notebook.
    """

    lab: str
    seconds: float
    report: Report
    notebook: Path


@dataclass(frozen=True)
class LearnerRow:
    """What one learner of the cohort earned in one assignment."""

    assignment: str
    learner: str
    status: str
    points: float
    maximum: float
    needs_a_look: bool


@dataclass
class CourseRun:
    """All that one run found."""

    started: datetime
    seconds: float = 0.0
    labs: list[LabRun] = field(default_factory=list)
    learners: list[LearnerRow] = field(default_factory=list)
    own_errors: list[str] = field(default_factory=list)
    not_run: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Plain values, for report.json."""
        return {
            "schema_version": 1,
            "started": self.started.isoformat(),
            "seconds": round(self.seconds, 1),
            "labs": [
                {"lab": run.lab, "seconds": run.seconds, "report": run.report.model_dump(mode="json")}
                for run in self.labs
            ],
            "learners": [asdict(row) for row in self.learners],
            "own_errors": self.own_errors,
            "not_run": self.not_run,
        }


def run_course(course: Course, say: Callable[[str], None]) -> CourseRun:
    """Execute every notebook with its reference, take the sample cohort through nbgrader.

    Args:
        course: Which course.
        say: Told in a sentence what is done.
    """
    run = CourseRun(datetime.now(UTC))
    for lab in course.labs:
        if lacking := _lacking(lab):
            say(f"{lab.id}: not run here. {lacking}")
            run.not_run[lab.id] = lacking
            continue
        say(f"{lab.id}: the notebook with the reference solution")
        try:
            run.labs.append(_run_lab(lab))
        except WorkbookError as error:  # the other labs and the cohort are shown nevertheless
            say(f"  It broke. {error}")
            run.own_errors.append(str(error))
    lay_tree(course)
    for assignment in course.assignments:
        try:
            _grade_cohort(course, assignment, run, say)
        except Unavailable as lacking:
            say(f"{assignment}: not graded here. {lacking}")
            run.not_run[assignment] = str(lacking)
    run.seconds = (datetime.now(UTC) - run.started).total_seconds()
    return run


def _grade_cohort(course: Course, assignment: str, run: CourseRun, say: Callable[[str], None]) -> None:
    """Take the sample cohort's work of one assignment from release to export.

    All its static checks are run, and the live ones of one lab a week, none of a project: all of them would
    take hours.
    """
    say(f"{assignment}: release, the sample cohort, grading")
    release(assignment, course=course)
    lay_cohort(assignment, course=course)
    settings = Settings(live_labs=live_labs(course, assignment))
    summary = grade(assignment, course=course, settings=settings, on_event=lambda event: _tell(say, event))
    run.own_errors += [f"{error.learner}: {error.message}" for error in summary.own_errors]
    for record in summary.records:
        reports = [lab.report for lab in record.labs if lab.report is not None]
        run.learners.append(
            LearnerRow(
                assignment=assignment,
                learner=record.learner,
                status=record.status.value,
                points=sum(report.points for report in reports),
                maximum=sum(report.maximum for report in reports),
                needs_a_look=any(o.verdict.needs_manual_grade for r in reports for o in r.outcomes),
            )
        )
    say(f"{assignment}: feedback and export")
    feedback(assignment, course=course)
    export(assignment, course=course)


def live_labs(course: Course, assignment: str) -> tuple[str, ...]:
    """Whose live checks the sample cohort gets."""
    first = course.assignments[assignment][0].id
    return (_QUICKEST.get(assignment, first),) if "/" in first else ()


def write_json(run: CourseRun, folder: Path) -> Path:
    """Write report.json into the folder; gives its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "report.json"
    path.write_text(json.dumps(run.as_json(), indent=1) + "\n")
    return path


def _run_lab(lab: Lab) -> LabRun:
    """Execute the notebook; the hidden checks, which a notebook never runs, are run after it."""
    result = run_notebook(lab, {})
    assert result.report is not None
    report = result.report
    hidden = [spec.name for spec in load_rubric(lab).checks if spec.hidden]
    if hidden:
        report = report.updated_by(run_checks(lab, result.notebook.parent, parts=hidden, grading=True))
    return LabRun(lab.id, result.seconds, report, result.notebook)


def _lacking(lab: Lab) -> str:
    """What this machine lacks for the lab's notebook, in a sentence or two; a GPU's stops nothing."""
    wanted = {resource for spec in load_rubric(lab).checks for resource in spec.needs}
    for resource in sorted(wanted - resources.BY_CHANCE):
        try:
            resources.require(resource)
        except Unavailable as lacking:
            return str(lacking)
    return ""


def _tell(say: Callable[[str], None], event: object) -> None:
    if isinstance(event, Done):
        status = event.record.status.value if event.record else "our own error"
        say(f"  {event.done} of {event.total}: {event.learner}, {status}")
