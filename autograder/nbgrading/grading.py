"""Grades an assignment: one submission after another is judged, and what was found is written down.

Scores go into nbgrader's gradebook, notebooks with their outcome tables into `autograded`, and a record of
each submission beside them.
"""

from __future__ import annotations

import re
import shutil
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import nbformat
from nbformat import NotebookNode

from autograder.nbgrading.files import replace_folder
from autograder.nbgrading.judging import Judged, Phase, Settings, judge_submission
from autograder.nbgrading.records import OwnError, SubmissionRecord, Summary
from autograder.nbgrading.scores import due_date, open_gradebook, require_assignment, write_scores
from autograder.nbgrading.settings import Folders, nbgrader_config
from labkit.course import Course, Lab, find_course
from labkit.errors import WorkbookError

LEARNER_NAME = re.compile(r"[\w@+-][\w.@+-]{0,127}")


@dataclass(frozen=True)
class Done:
    """A submission was graded, or could not be; `record` is None then."""

    learner: str
    record: SubmissionRecord | None
    done: int
    total: int


GradingEvent = Phase | Done
Listener = Callable[[GradingEvent], None]


def grade(
    assignment: str,
    learners: Sequence[str] | None = None,
    *,
    course: Course | None = None,
    settings: Settings | None = None,
    on_event: Listener | None = None,
) -> Summary:
    """Grade what was handed in and write scores, `autograded` notebooks and records.

    Args:
        assignment: nbgrader's assignment, `week11_serving`.
        learners: Whose work; that of all by default, with those who handed in nothing.
        course: The course around the current folder by default.
        settings: Runner and limits.
        on_event: Told what happens while it happens.

    Raises:
        WorkbookError: The assignment does not exist or was not released, a named learner handed in nothing,
            or the gradebook can't be used. What one submission does is never raised.
    """
    started = time.monotonic()
    course = course or find_course()
    released = read_release(course, assignment)
    folders = Folders.of(course)
    config = nbgrader_config(course)
    say: Listener = on_event or (lambda event: None)
    records: list[SubmissionRecord] = []
    own_errors: list[OwnError] = []
    with open_gradebook(folders.gradebook_url) as gradebook:
        require_assignment(gradebook, assignment)
        roster = [str(student.id) for student in gradebook.students]
        chosen, refused = _choose(folders, assignment, learners, roster)
        for done, learner in enumerate(chosen, start=1):
            record = None
            try:
                due = due_date(gradebook, assignment, learner)
                with judge_submission(
                    course, assignment, learner, released, config, settings or Settings(), due=due, say=say
                ) as judged:
                    record = judged.record
                    own_errors += judged.own_errors
                    if folders.submitted(learner, assignment).is_dir():
                        _write(judged, record, folders)
                        write_scores(gradebook, record, judged.notebooks, config)
                record.write(folders.result(learner, assignment))
                records.append(record)
            except WorkbookError as error:
                own_errors.append(OwnError(learner=learner, where="grading", message=str(error)))
            except (OSError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
                message = "".join(traceback.format_exception(error))
                own_errors.append(OwnError(learner=learner, where="grading", message=message))
            say(Done(learner, record, done, len(chosen)))
    return Summary(
        assignment=assignment,
        seconds=round(time.monotonic() - started, 3),
        records=records,
        own_errors=own_errors,
        refused=refused,
    )


def read_release(course: Course, assignment: str) -> dict[str, tuple[Lab, NotebookNode]]:
    """Each lab of an assignment and its released notebook, by the notebook's name.

    Raises:
        WorkbookError: There is no such assignment, or it was not released.
    """
    labs = course.assignments.get(assignment)
    if labs is None:
        known = ", ".join(course.assignments)
        raise WorkbookError(f"There is no assignment {assignment!r}.", next_step=f"There are: {known}.")
    folder = Folders.of(course).release(assignment)
    released = {}
    for lab in labs:
        path = folder / f"{lab.name}.ipynb"
        if not path.is_file():
            raise WorkbookError(
                f"The assignment {assignment} has not been released.",
                why=f"{path.name} is not in its release folder.",
                next_step=f"Run workbook release {assignment} first.",
            )
        released[lab.name] = (lab, nbformat.read(path, as_version=4))
    return released


def _choose(
    folders: Folders, assignment: str, learners: Sequence[str] | None, roster: list[str]
) -> tuple[list[str], list[str]]:
    """Whose work is graded, and the folders that bear no learner's name."""
    found = sorted(path.parent.name for path in (folders.root / "submitted").glob(f"*/{assignment}"))
    refused = [
        f"The folder {name!a} was left out: that can't be a learner's name."
        for name in found
        if not LEARNER_NAME.fullmatch(name)
    ]
    able = {name for name in found if LEARNER_NAME.fullmatch(name)} | set(roster)
    if learners is None:
        return sorted(able), refused
    unknown = sorted(set(learners) - able)
    if unknown:
        raise WorkbookError(
            f"Nothing of {', '.join(unknown)} was handed in for {assignment}.",
            next_step="Collect it first, or check the name.",
        )
    return list(dict.fromkeys(learners)), []


def _write(judged: Judged, record: SubmissionRecord, folders: Folders) -> None:
    """Put the finished folder into `autograded`."""
    target = folders.autograded(record.learner, record.assignment)
    target.parent.mkdir(parents=True, exist_ok=True)
    prepared = target.with_name(f".{target.name}.new")
    shutil.rmtree(prepared, ignore_errors=True)
    shutil.copytree(judged.folder, prepared)
    replace_folder(prepared, target)
