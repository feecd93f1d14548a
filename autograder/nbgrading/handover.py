"""Lets nbgrader's own `autograde` (the command, and formgrader's button) grade as `workbook grade` does."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from nbformat import NotebookNode
from nbgrader.preprocessors import NbGraderPreprocessor

from autograder.nbgrading.grading import read_release
from autograder.nbgrading.job import Job, Settings
from autograder.nbgrading.judging import Judging, Part, finish
from autograder.nbgrading.preparing import Phase, prepare
from autograder.nbgrading.scores import due_date, open_gradebook, write_scores
from autograder.nbgrading.settings import Folders, nbgrader_config
from labkit.course import Course


class KeepAsSubmitted(NbGraderPreprocessor):  # type: ignore[misc]
    """Leaves the notebook as it was handed in: what follows reads the submission itself."""

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any]) -> tuple[NotebookNode, dict[str, Any]]:
        """Give both back unchanged."""
        return nb, resources


class GradeFromOutside(NbGraderPreprocessor):  # type: ignore[misc]
    """Stands where nbgrader would run the notebook and read scores from it."""

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any]) -> tuple[NotebookNode, dict[str, Any]]:
        """Judge one notebook's lab, write its scores, and give the notebook that shows what was found."""
        names = resources["nbgrader"]
        assignment, learner, notebook = names["assignment"], names["student"], names["notebook"]
        course = Course(Path(self.config.CourseDirectory.root).parent.parent)
        folders = Folders.of(course)
        released = read_release(course, assignment)
        lab = released[notebook][0]
        job = Job(
            assignment,
            {notebook: released[notebook]},
            Settings(),
            nbgrader_config(course),
            belonging=frozenset(released),
        )
        with (
            open_gradebook(folders.gradebook_url) as gradebook,
            tempfile.TemporaryDirectory(prefix="workbook-grading-") as scratch,
        ):
            place, due = Path(scratch), due_date(gradebook, assignment, learner)
            source = folders.submitted(learner, assignment)
            record = prepare(job, learner, source, place, due=due, say=_say_nothing)
            judging = Judging(job, learner, place, course.build / "logs" / "grading", _say_nothing)
            record = judging.judge(record, Part.ALL)
            shown = finish(job, record, place / "kept")[notebook]
            write_scores(gradebook, record, {notebook: (lab, shown)}, job.config)
            job.close()
        record.with_labs_of(folders.result(learner, assignment)).write(folders.result(learner, assignment))
        return shown, resources


def _say_nothing(phase: Phase) -> None:
    """Nobody looks: nbgrader has its own log."""
