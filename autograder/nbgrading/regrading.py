"""Judges work anew after a rubric was repaired, and says who would change before anything is written.

What is found lies in a journal of its own, beside the grading's. Interrupted, the same command goes on; the
gradebook, the notebooks and the records change only when it is told to write, and then they take over just
what was shown.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from autograder.loading import Rubric, load_rubric
from autograder.nbgrading.grading import GradingEvent, Request, Run, carry_out
from autograder.nbgrading.job import Settings
from autograder.nbgrading.journal import Found, Journal
from autograder.nbgrading.judging import finish
from autograder.nbgrading.records import LabRecord, Summary
from autograder.nbgrading.settings import Folders
from autograder.results import Outcome
from labkit.course import Course, find_course
from labkit.errors import WorkbookError


@dataclass(frozen=True)
class Changed:
    """One check that comes out otherwise for one learner.

    Attributes:
        learner: Whose work.
        lab: The lab's id.
        title: The check, as learners read it.
        before: What stands now, None if nothing does.
        after: What was found now.
    """

    learner: str
    lab: str
    title: str
    before: Outcome | None
    after: Outcome

    @property
    def points(self) -> float:
        """How many points more (or, below 0, fewer) it gives."""
        return self.after.points - (self.before.points if self.before else 0.0)


@dataclass(frozen=True)
class Regraded:
    """What judging anew found.

    Attributes:
        summary: Of the run.
        changed: What comes out otherwise, learner by learner.
        written: Whether it stands in the gradebook now.
    """

    summary: Summary
    changed: list[Changed] = field(default_factory=list)
    written: bool = False


def regrade(
    assignment: str,
    learners: Sequence[str] | None = None,
    *,
    check: str = "",
    write: bool = False,
    again: bool = False,
    course: Course | None = None,
    settings: Settings | None = None,
    jobs: int = 1,
    on_event: Callable[[GradingEvent], None] | None = None,
) -> Regraded:
    """Judge work anew by the rubrics as they are now.

    Args:
        assignment: nbgrader's assignment.
        learners: Whose work; that of all by default.
        check: `week11/fastapi_server:latency`: only that check, and those that wait for it, are taken over;
            every other outcome stays as it is.
        write: Take over what was found into the gradebook; without it nothing changes.
        again: Judge also what an earlier call judged by the same rubrics.
        course: The course around the current folder by default.
        settings: Runner and limits.
        jobs: How many submissions are judged at once.
        on_event: Told what happens while it happens.

    Raises:
        WorkbookError: As `autograder.nbgrading.grade` does, or there is no such check.
    """
    course = course or find_course()
    folders = Folders.of(course)
    wanted = _wanted(course, assignment, check)
    held = folders.grading / "regrade" / assignment
    changed: list[Changed] = []

    class Held(Run):
        """Keeps what is found where it was found, until it is to be written."""

        def record(self, found: Found) -> None:
            before = {lab.lab: lab for lab in (self.recorded(found.record.learner) or found.record).labs}
            if wanted:
                labs = [_only(lab, before.get(lab.lab), wanted) for lab in found.record.labs]
                found = replace(found, record=found.record.model_copy(update={"labs": labs}))
                finish(self.job, found.record, found.folder / "kept")
            self.own_errors += found.own_errors
            if not found.own_errors:  # what went wrong on our side changes nobody's points
                stands = self.recorded(found.record.learner) is not None
                changed.extend(_changes(found, before if stands else {}))
                if write:
                    self.take_over(found)
            self.finished(found.record.learner, found.record)

        def take_over(self, found: Found) -> None:
            """Let the grading's own run record it, as if it had found it itself."""
            recording = Journal(self.folders.grading / assignment)
            silent = Run(self.folders, self.job, recording, self.gradebook, lambda event: None, total=1)
            silent.record(found)
            self.own_errors += [error for error in silent.own_errors if error not in self.own_errors]

        def end(self) -> None:
            if write:
                shutil.rmtree(held, ignore_errors=True)

    request = Request(
        assignment=assignment,
        learners=learners,
        course=course,
        settings=settings or Settings(),
        jobs=jobs,
        scheduler="",
        say=on_event or (lambda event: None),
    )
    summary = carry_out(request, held, Held, again=again)
    return Regraded(summary, changed, written=write)


def _wanted(course: Course, assignment: str, check: str) -> dict[str, set[str]]:
    """The checks to be taken over, by lab: the named one and all that wait for it; empty for every check."""
    if not check:
        return {}
    lab_id, _, name = check.partition(":")
    labs = {lab.id: lab for lab in course.assignments.get(assignment, [])}
    if lab_id not in labs or not name:
        raise WorkbookError(
            f"{check!r} names no check of {assignment}.",
            next_step=f"Write LAB:CHECK, with one of the labs {', '.join(labs)}.",
        )
    rubric = load_rubric(labs[lab_id])
    return {lab_id: _with_dependents(rubric, rubric.check(name).name)}


def _with_dependents(rubric: Rubric, name: str) -> set[str]:
    found = {name}
    for spec in rubric.checks:  # in an order in which each comes after those that it waits for
        if found & set(spec.after):
            found.add(spec.name)
    return found


def _only(lab: LabRecord, before: LabRecord | None, wanted: dict[str, set[str]]) -> LabRecord:
    """The lab as it stands, with only the wanted checks as they were found now."""
    if before is None or before.report is None or lab.report is None:
        return before or lab
    names = wanted.get(lab.lab, set())
    now = {outcome.check: outcome for outcome in lab.report.outcomes if outcome.check in names}
    outcomes = [now.get(outcome.check, outcome) for outcome in before.report.outcomes]
    return before.model_copy(update={"report": before.report.model_copy(update={"outcomes": outcomes})})


def _changes(found: Found, before: dict[str, LabRecord]) -> list[Changed]:
    changes = []
    for lab in found.record.labs:
        earlier = before.get(lab.lab)
        stood = {o.check: o for o in earlier.report.outcomes} if earlier and earlier.report else {}
        for outcome in lab.report.outcomes if lab.report else ():
            was = stood.get(outcome.check)
            if was is None or (was.points, was.verdict) != (outcome.points, outcome.verdict):
                changes.append(Changed(found.record.learner, lab.lab, outcome.title, was, outcome))
    return changes
