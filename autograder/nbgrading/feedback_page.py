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
    """Puts scores and comments into the cells, and whether a score waits for a person."""

    def _get_score(self, cell: NotebookNode, resources: dict[str, Any]) -> None:
        super()._get_score(cell, resources)
        found = self.gradebook.find_grade(
            cell.metadata.nbgrader["grade_id"], self.notebook_id, self.assignment_id, self.student_id
        )
        cell.metadata.nbgrader["waits"] = bool(found.needs_manual_grade)
