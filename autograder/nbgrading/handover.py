"""Lets nbgrader's own `autograde` (the command, and formgrader's button) grade as `workbook grade` does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nbformat import NotebookNode
from nbgrader.preprocessors import NbGraderPreprocessor

from autograder.nbgrading.grading import read_release
from autograder.nbgrading.judging import Settings, judge_submission
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
        released = {notebook: read_release(course, assignment)[notebook]}
        config = nbgrader_config(course)
        with open_gradebook(folders.gradebook_url) as gradebook:
            due = due_date(gradebook, assignment, learner)
            with judge_submission(
                course, assignment, learner, released, config, Settings(), due=due
            ) as judged:
                write_scores(gradebook, judged.record, judged.notebooks, config)
        judged.record.with_labs_of(folders.result(learner, assignment)).write(
            folders.result(learner, assignment)
        )
        return judged.notebooks[notebook][1], resources
