"""nbgrader's check of locked cells, held against the released notebook instead of the gradebook.

Both say the same (releasing writes the one from the other), but a worker then needs no gradebook: the one
writer alone opens it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nbformat import NotebookNode
from nbgrader.api import MissingEntry
from nbgrader.preprocessors import NbGraderPreprocessor, OverwriteCells


@dataclass(frozen=True)
class _Cell:
    """A cell as the gradebook would give it."""

    name: str
    cell_type: str
    source: str
    locked: bool
    checksum: str
    max_score: float


class _Cells:
    """Answers the two questions that nbgrader's preprocessor asks its gradebook."""

    def __init__(self, released: dict[str, NotebookNode]) -> None:
        self._released = released

    def find_source_cell(self, name: str, *_: str) -> _Cell:
        """The cell of that name."""
        if name not in self._released:
            raise MissingEntry(name)
        cell = self._released[name]
        marks = cell.metadata.nbgrader
        return _Cell(
            name=name,
            cell_type=cell.cell_type,
            source=cell.source,
            locked=bool(marks.get("locked", False)),
            checksum=marks.get("checksum", ""),
            max_score=float(marks.get("points", 0)),
        )

    find_graded_cell = find_source_cell


class OverwriteFromRelease(OverwriteCells):  # type: ignore[misc]
    """Puts back what was changed in the instructor's cells; `released` holds them by their grade id."""

    released: dict[str, NotebookNode]

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any]) -> tuple[NotebookNode, dict[str, Any]]:
        """Go through the cells; nbgrader's own would open the gradebook first."""
        self.notebook_id = self.assignment_id = ""
        self.gradebook = _Cells(self.released)
        done: tuple[NotebookNode, dict[str, Any]] = NbGraderPreprocessor.preprocess(self, nb, resources)
        return done
