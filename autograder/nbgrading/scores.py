"""Writes what grading found into nbgrader's gradebook: one writer, one transaction a submission."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import nbgrader
from alembic.script import ScriptDirectory
from nbformat import NotebookNode
from nbgrader.api import (
    Assignment,
    BaseCell,
    Comment,
    Grade,
    Gradebook,
    GradeCell,
    MissingEntry,
    SubmittedAssignment,
    SubmittedNotebook,
    TaskCell,
)
from nbgrader.preprocessors import AssignLatePenalties
from nbgrader.utils import compute_checksum
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import selectinload, with_polymorphic

from autograder.nbgrading.pages import outcomes_of
from autograder.nbgrading.records import LabRecord, Problem, Status, SubmissionRecord
from autograder.nbgrading.settings import COURSE_ID, put_tools_on_path
from labkit.course import Lab
from labkit.errors import WorkbookError

NO_ANSWER = "There is no answer here."


@contextmanager
def open_gradebook(url: str) -> Iterator[Gradebook]:
    """The gradebook, closed afterwards.

    Raises:
        WorkbookError: It is locked, broken or of another version of nbgrader.
    """
    put_tools_on_path()  # a new gradebook is made with alembic
    try:
        gradebook = Gradebook(url, COURSE_ID)
    except DatabaseError as error:
        raise _unusable(error) from error
    try:
        _require_version(gradebook)
        yield gradebook
    except DatabaseError as error:
        gradebook.db.rollback()
        raise _unusable(error) from error
    finally:
        gradebook.close()
        gradebook.engine.dispose()


def _require_version(gradebook: Gradebook) -> None:
    """See that this nbgrader knows the gradebook's tables.

    Raises:
        WorkbookError: Another version of nbgrader made it.
    """
    found = gradebook.db.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if found != _known_version():
        raise WorkbookError(
            "The gradebook is of another version of nbgrader.",
            why=f"Its tables are of version {found}; this nbgrader's are of version {_known_version()}.",
            next_step="Copy it first; then `nbgrader db upgrade` brings an older one up to date.",
        )


@cache
def _known_version() -> str:
    """The version of the tables that this nbgrader makes."""
    return str(ScriptDirectory(str(Path(nbgrader.__file__).parent / "alembic")).get_current_head())


def _unusable(error: DatabaseError) -> WorkbookError:
    why = str(error.orig).rstrip(".") + "."
    if "disk is full" in why or "readonly" in why:
        return WorkbookError(
            "The gradebook can't be written to.",
            why=why,
            next_step="Make room, or give yourself the right to write it; then run the command again.",
        )
    if "locked" in why:
        return WorkbookError(
            "The gradebook is in use by another program.",
            why=why,
            next_step="Wait until it is done, or end it; then run the command again.",
        )
    return WorkbookError(
        "The gradebook can't be used.",
        why=why,
        next_step="Back it up; `nbgrader db upgrade` brings an older one up to date.",
    )


def require_assignment(gradebook: Gradebook, assignment: str) -> None:
    """See that the gradebook knows the assignment.

    Raises:
        WorkbookError: It does not.
    """
    try:
        gradebook.find_assignment(assignment)
    except MissingEntry:
        raise WorkbookError(
            f"The assignment {assignment} has not been released.",
            why="The gradebook does not know it.",
            next_step=f"Run workbook release {assignment} first.",
        ) from None


def graded_learners(gradebook: Gradebook, assignment: str) -> set[str]:
    """Those of whom the gradebook holds a submission."""
    return {str(submission.student_id) for submission in gradebook.assignment_submissions(assignment)}


def due_date(gradebook: Gradebook, assignment: str, learner: str) -> datetime | None:
    """When a learner's work was due, with their extension; None where there is no due date."""
    due: datetime | None = gradebook.find_assignment(assignment).duedate
    if due is None:
        return None
    try:
        extension = gradebook.find_submission(assignment, learner).extension
    except MissingEntry:
        extension = None
    return (due + extension if extension else due).replace(tzinfo=UTC)


def write_scores(
    gradebook: Gradebook,
    record: SubmissionRecord,
    notebooks: dict[str, tuple[Lab, NotebookNode]],
    config: Any,
) -> None:
    """Write one submission's scores and comments; all of them or none.

    Args:
        gradebook: nbgrader's.
        record: What was found.
        notebooks: Each lab and its notebook as it stands in `autograded`, by the notebook's name.
        config: nbgrader's configuration, for what it takes off for lateness.
    """
    submission = _whole_submission(gradebook, record)
    if submission is None:
        gradebook.update_or_create_student(record.learner)
        with gradebook.db.no_autoflush:  # nbgrader reads while it builds the submission
            gradebook.add_submission(record.assignment, record.learner)
        submission = _whole_submission(gradebook, record)
    assert submission is not None
    try:
        submission.timestamp = record.submitted.replace(tzinfo=None) if record.submitted else None
        for submitted in submission.notebooks:
            if submitted.name not in notebooks:
                continue
            lab, notebook = notebooks[submitted.name]
            found = next(entry for entry in record.labs if entry.notebook == submitted.name)
            _write_notebook(submitted, lab, notebook, found, record.problems)
            submitted.late_submission_penalty = _penalty(submitted, record, config)
        gradebook.db.commit()
    except BaseException:
        gradebook.db.rollback()
        raise


def _whole_submission(gradebook: Gradebook, record: SubmissionRecord) -> SubmittedAssignment | None:
    """The submission with all that scores are written into, read at once; None if there is none yet.

    Read piece by piece as it is needed, it takes two dozen queries: most of what recording takes.
    """
    of_notebook = selectinload(SubmittedAssignment.notebooks)
    cells = with_polymorphic(BaseCell, [GradeCell, TaskCell], flat=True)  # with their points
    query = (
        gradebook.db.query(SubmittedAssignment)
        .join(Assignment, Assignment.id == SubmittedAssignment.assignment_id)
        .filter(Assignment.name == record.assignment, SubmittedAssignment.student_id == record.learner)
        .options(
            of_notebook.joinedload(SubmittedNotebook.notebook),
            of_notebook.selectinload(SubmittedNotebook.grades).joinedload(Grade.cell.of_type(cells)),
            of_notebook.selectinload(SubmittedNotebook.comments).joinedload(Comment.cell),
        )
        .populate_existing()
    )
    submission: SubmittedAssignment | None = query.one_or_none()
    return submission


def write_penalties(gradebook: Gradebook, record: SubmissionRecord, config: Any) -> None:
    """Bring what is taken off for lateness up to the policy, of work that is not graded again."""
    if not record.late_seconds:
        return
    for submitted in gradebook.find_submission(record.assignment, record.learner).notebooks:
        submitted.late_submission_penalty = _penalty(submitted, record, config)
    gradebook.db.commit()


def _write_notebook(
    submitted: SubmittedNotebook,
    lab: Lab,
    notebook: NotebookNode,
    found: LabRecord,
    of_all: Sequence[Problem],
) -> None:
    problems = [*of_all, *found.problems]
    unread = any(problem.status is Status.INVALID for problem in problems)
    answered = {
        cell.metadata.nbgrader.grade_id: compute_checksum(cell) != cell.metadata.nbgrader.get("checksum")
        for cell in notebook.cells
        if cell.metadata.get("nbgrader", {}).get("solution")
    }
    for grade in submitted.grades:
        if grade.name in answered:
            # A person grades it; a notebook that could not be read may hold an answer nevertheless.
            waits = answered[grade.name] or unread
            grade.auto_score, grade.needs_manual_grade = (None, True) if waits else (0.0, False)
        else:
            _write_check(grade, lab, found)
        if grade.manual_score is not None:
            grade.needs_manual_grade = True
    for comment in submitted.comments:
        if comment.name in answered:
            reasons = [problem.message for problem in problems]
            comment.auto_comment = None if answered[comment.name] else " ".join([NO_ANSWER, *reasons])


def _write_check(grade: Grade, lab: Lab, found: LabRecord) -> None:
    outcomes = outcomes_of(lab, grade.name, found.report) if found.report else []
    waiting = [outcome for outcome in outcomes if outcome.verdict.needs_manual_grade]
    grade.needs_manual_grade = bool(waiting) or not outcomes
    if len(waiting) == len(outcomes):
        grade.auto_score = None
    else:
        earned = sum(outcome.points for outcome in outcomes)
        grade.auto_score = float(min(max(earned, 0.0), grade.cell.max_score))


def _penalty(submitted: SubmittedNotebook, record: SubmissionRecord, config: Any) -> float | None:
    """What nbgrader's configured plugin takes off for lateness."""
    if not record.late_seconds:
        return None
    score = sum(
        (grade.manual_score if grade.manual_score is not None else grade.auto_score or 0.0)
        + (grade.extra_credit or 0.0)
        for grade in submitted.grades
    )
    late = AssignLatePenalties(config=config)
    late.init_plugin()
    penalty = late.plugin_inst.late_submission_penalty(record.learner, score, record.late_seconds)
    return None if penalty is None else float(min(max(penalty, 0.0), score))
