"""`workbook check project1 --judge`: the whole hour, and its report."""

from __future__ import annotations

import time
from pathlib import Path

import typer
from filelock import FileLock, Timeout
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from labkit.course import Course, Lab
from labkit.errors import WorkbookError
from labkit.verdicts import Verdict


def judge(console: Console, course: Course, lab: Lab, work: Path, *, short: bool) -> None:
    """Run the hour on the work in that folder, print what was found, and end with its exit code.

    Raises:
        WorkbookError: The lab has no judge, or another run of it goes on.
    """
    if lab.id != "project1":
        raise WorkbookError(f"{lab.id} has no judge.", next_step="project1 has one; leave --judge away.")
    from autograder.production.hour import run_hour
    from autograder.production.report import PAGE, write_report
    from autograder.production.script import HOUR, SHORT
    from autograder.production.verdicts import score

    folder = course.build / "judge" / lab.id
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    try:
        with FileLock(folder / "lock", timeout=0):
            seen = run_hour(
                work / lab.name,
                (lab.handout / "labels.py").read_text(),
                folder / "state",
                script=SHORT if short else HOUR,
                say=lambda line: console.print(f"{time.monotonic() - began:5.0f} s  {escape(line)}"),
            )
            found = write_report(seen, folder, seconds=time.monotonic() - began)
    except Timeout as error:
        raise WorkbookError(
            "The judge is at work already.", next_step="Wait for it, or end it first."
        ) from error
    table = Table(box=None, show_header=False, padding=(0, 1))
    for each in found:
        table.add_row(
            each.found.verdict.words, f"{each.earned:g}/{each.points:g}", each.name, each.found.summary
        )
    console.print(table)
    points, of = score(found)
    console.print(f"{points:g} of {of:g} points · {(folder / PAGE).relative_to(course.root)}")
    raise typer.Exit(Verdict.worst([each.found.verdict for each in found]).exit_code)
