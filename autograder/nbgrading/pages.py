"""Puts what was found into the notebook that formgrader and the feedback page show."""

from __future__ import annotations

import html
from collections.abc import Sequence

import nbformat
from nbformat import NotebookNode

from autograder.display import report_html
from autograder.notebooks import grade_id
from autograder.results import Outcome, Report
from labkit.course import Lab


def outcomes_of(lab: Lab, cell: str, report: Report) -> list[Outcome]:
    """The outcomes that a graded cell stands for: one check's, or all for a whole lab's cell."""
    if cell == grade_id(lab, ""):
        return report.outcomes
    return [outcome for outcome in report.outcomes if cell == grade_id(lab, outcome.check)]


def put_outcomes(notebook: NotebookNode, lab: Lab, report: Report) -> None:
    """Show each check's outcome below its cell, with its points as the cell's value, in place."""
    for cell in notebook.cells:
        if cell.cell_type != "code" or not cell.metadata.get("nbgrader", {}).get("grade"):
            continue
        found = outcomes_of(lab, cell.metadata.nbgrader.grade_id, report)
        seconds = sum(outcome.seconds for outcome in found)
        part = report.model_copy(update={"outcomes": found, "seconds": seconds})
        data = {"text/html": report_html(part), "text/plain": "\n".join(map(_line, found))}
        cell.metadata["workbook"] = {
            "title": " · ".join(outcome.title for outcome in found),
            "verdict": part.verdict.words,
        }
        cell.execution_count = None
        cell.outputs = [
            nbformat.v4.new_output("display_data", data=data),
            nbformat.v4.new_output(
                "execute_result", data={"text/plain": repr(float(part.points))}, execution_count=None
            ),
        ]


def _line(outcome: Outcome) -> str:
    said = "" if outcome.hidden else " ".join(filter(None, (outcome.evidence, outcome.cause)))
    line = f"{outcome.verdict.words} {outcome.points:g}/{outcome.maximum:g} {outcome.title}"
    return f"{line}: {said}" if said else line


def put_notice(notebook: NotebookNode, sentences: Sequence[str], *, grave: bool) -> None:
    """Say at the head of the notebook what the learner and the instructor should know, in place."""
    if not sentences:
        return
    items = "".join(f"<p style='margin: 0'>{html.escape(sentence)}</p>" for sentence in sentences)
    look = "warning" if grave else "info"
    notice = f'<div class="alert alert-{look}" role="note">{items}</div>'
    notebook.cells.insert(0, nbformat.v4.new_markdown_cell(notice, id="grading-notice"))
