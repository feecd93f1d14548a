"""The feedback page: nbgrader's own, with the checks' titles and what waits for a person at its head."""

from __future__ import annotations

from typing import Any

from nbconvert.exporters import HTMLExporter
from nbformat import NotebookNode
from nbgrader.preprocessors import GetGrades
from traitlets import default

from autograder.nbgrading.settings import NBGRADER_TEMPLATES


class FeedbackExporter(HTMLExporter):  # type: ignore[misc]
    """Finds our template first; it extends nbgrader's of the same name."""

    @default("template_paths")  # type: ignore[untyped-decorator]
    def _template_paths(self, *args: Any, **kwargs: Any) -> list[str]:
        return [*super()._template_paths(*args, **kwargs), str(NBGRADER_TEMPLATES)]


class Grades(GetGrades):  # type: ignore[misc]
    """Puts scores and comments into the cells, and in words what each is about and what was found."""

    def _get_score(self, cell: NotebookNode, resources: dict[str, Any]) -> None:
        super()._get_score(cell, resources)
        marks = cell.metadata.nbgrader
        grade = self.gradebook.find_grade(
            marks["grade_id"], self.notebook_id, self.assignment_id, self.student_id
        )
        about = cell.metadata.get("workbook", {})
        name = marks["grade_id"].rpartition("-")[2].replace("_", " ")
        marks["title"] = about.get("title") or f"written answer: {name}"
        marks["waits"] = bool(grade.needs_manual_grade)
        if marks["waits"]:
            marks["found"] = "waits for a person"
        elif grade.manual_score is not None:
            marks["found"] = "graded by a person"
        else:
            marks["found"] = about.get("verdict") or "no answer"
