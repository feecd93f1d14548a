"""`workbook check PROJECT --judge`: a service through a scripted hour, or a platform through a bad day."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import typer
from filelock import FileLock, Timeout
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from autograder.files import write_atomically
from labkit.course import Course, Lab
from labkit.errors import WorkbookError
from labkit.verdicts import Verdict

Say = Callable[[str], None]


def judge(console: Console, course: Course, lab: Lab, work: Path, *, short: bool) -> None:
    """Run a project's judge on the work in that folder, print what was found, and end with its exit code.

    Raises:
        WorkbookError: The lab has no judge, or another run of it goes on.
    """
    if lab.id not in _JUDGES:
        known = " and ".join(_JUDGES)
        raise WorkbookError(f"{lab.id} has no judge.", next_step=f"{known} have one; leave --judge away.")
    folder = course.build / "judge" / lab.id
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    try:
        with FileLock(folder / "lock", timeout=0):
            _JUDGES[lab.id](
                console,
                lab,
                work / lab.name,
                folder,
                lambda line: console.print(f"{time.monotonic() - began:5.0f} s  {escape(line)}"),
                short,
            )
    except Timeout as error:
        raise WorkbookError(
            "The judge is at work already.", next_step="Wait for it, or end it first."
        ) from error


def _hour(console: Console, lab: Lab, work: Path, folder: Path, say: Say, short: bool) -> None:
    """Project 1's: a service's scripted hour."""
    from autograder.production.hour import run_hour
    from autograder.production.report import PAGE, write_report
    from autograder.production.script import HOUR, SHORT
    from autograder.production.verdicts import score

    began = time.monotonic()
    labels = (lab.handout / "labels.py").read_text()
    seen = run_hour(work, labels, folder / "state", script=SHORT if short else HOUR, say=say)
    found = write_report(seen, folder, seconds=time.monotonic() - began)
    table = Table(box=None, show_header=False, padding=(0, 1))
    for each in found:
        table.add_row(
            each.found.verdict.words, f"{each.earned:g}/{each.points:g}", each.name, each.found.summary
        )
    console.print(table)
    points, of = score(found)
    console.print(f"{points:g} of {of:g} points · {folder / PAGE}")
    raise typer.Exit(Verdict.worst([each.found.verdict for each in found]).exit_code)


def _day(console: Console, lab: Lab, work: Path, folder: Path, say: Say, short: bool) -> None:
    """Project 2's: a platform's bad day."""
    from autograder.multicloud.day import live_through
    from autograder.multicloud.report import PAGE, page_of

    if not (work / "training.py").is_file():
        raise WorkbookError(
            f"There is no training.py in {work.name}.", next_step=f"`workbook reset {lab.id}` lays it again."
        )
    day = live_through(work.absolute(), folder / "logs", say=say, short=short)
    write_atomically(folder / PAGE, page_of(day).encode())
    table = Table(box=None, show_header=False, padding=(0, 1))
    for name, each in day.found.items():
        table.add_row(each.verdict.words, name, each.summary)
    console.print(table)
    well, tried = day.score
    console.print(f"{well} of {tried} parts went well · {folder / PAGE}")
    raise typer.Exit(day.verdict.exit_code)


_JUDGES = {"project1": _hour, "project2": _day}
