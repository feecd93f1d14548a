"""`workbook course`: every lab's reference run and judged, the cohort graded, the report."""

from __future__ import annotations

import time

import typer
from rich.console import Console
from rich.table import Table

from autograder.course_run import run_course, write_json
from autograder.display import number
from autograder.report import metrics_of, write_html
from labkit.course import find_course
from labkit.verdicts import Verdict


def course() -> None:
    """Run every lab's reference, grade the sample cohort and write build/course/report.html."""
    console = Console(highlight=False)
    found = find_course()
    began = time.monotonic()
    run = run_course(
        found, lambda text: console.print(f"[dim]{time.monotonic() - began:6.0f} s[/dim]  {text}")
    )
    folder = found.build / "course"
    data, page = write_json(run, folder), write_html(run, folder / "report.html")

    table = Table(box=None, padding=(0, 1), title="Scores of the reference", title_justify="left")
    for column in ("lab", "points", "verdict"):
        table.add_column(column)
    for lab in run.labs:
        points = f"{number(lab.report.points)} of {number(lab.report.maximum)}"
        table.add_row(lab.lab, points, lab.report.verdict.words)
    console.print(table)
    metrics = Table(box=None, padding=(0, 1), title="The four metrics", title_justify="left")
    for column in ("metric", "objective", "verdict", "evidence"):
        metrics.add_column(column)
    for each in metrics_of(run):
        metrics.add_row(each.metric.name, each.metric.objective, each.verdict, each.evidence)
    console.print(metrics)
    console.print(f"{page.relative_to(found.root)} and {data.relative_to(found.root)} hold it all.")
    worst = Verdict.worst([lab.report.verdict for lab in run.labs])
    raise typer.Exit(4 if run.own_errors else worst.exit_code)
