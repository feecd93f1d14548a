"""`workbook roster`, `extend` and `overview`: who is there, who may be late, where people are stuck."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from nbgrader.api import MissingEntry
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from autograder.classroom.overview import overview_of
from autograder.classroom.roster import enrol, read_roster
from autograder.display import number
from autograder.nbgrading.scores import open_gradebook, require_assignment
from autograder.nbgrading.settings import Folders
from labkit.course import find_course
from labkit.errors import WorkbookError

_MOST_MISSED = 10


def roster(
    file: Annotated[Path, typer.Argument(help="A CSV file: id, and first_name, last_name, email if known.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Read the list of learners into the gradebook. Nobody is removed."""
    learners = read_roster(file)
    folders = Folders.of(find_course())
    folders.root.mkdir(parents=True, exist_ok=True)
    with open_gradebook(folders.gradebook_url) as gradebook:
        enrolled = enrol(gradebook, learners)
    if as_json:
        typer.echo(json.dumps(asdict(enrolled), indent=1))
        return
    console = Console(highlight=False, soft_wrap=True)
    console.print(
        f"{len(learners)} learners: {len(enrolled.added)} new, {len(enrolled.changed)} changed, "
        f"{len(enrolled.unchanged)} as before."
    )
    if enrolled.not_listed:
        shown = ", ".join(enrolled.not_listed[:10]) + (" and more" if len(enrolled.not_listed) > 10 else "")
        console.print(f"Only the gradebook knows: {escape(shown)}. They stay in it.")


def extend(
    assignment: Annotated[str, typer.Argument(help="nbgrader's assignment, for example week11_serving.")],
    learner: Annotated[str, typer.Argument(help="The learner's id.")],
    days: Annotated[float, typer.Option(help="Days after the due date; 0 takes an extension back.", min=0)],
) -> None:
    """Let one learner hand in later. It counts from the next `workbook grade` on."""
    folders = Folders.of(find_course())
    with open_gradebook(folders.gradebook_url) as gradebook:
        require_assignment(gradebook, assignment)
        try:
            gradebook.find_student(learner)
        except MissingEntry:
            raise WorkbookError(
                f"The gradebook knows no learner {learner!r}.",
                next_step="`workbook roster FILE.csv` reads the list of learners.",
            ) from None
        with gradebook.db.no_autoflush:  # nbgrader reads while it builds the submission
            gradebook.update_or_create_submission(assignment, learner)
        extra = timedelta(days=days)
        gradebook.grant_extension(assignment, learner, minutes=extra.total_seconds() / 60)
    Console(highlight=False).print(f"{escape(learner)} has {days:g} days more for {escape(assignment)}.")


def overview(
    assignment: Annotated[str, typer.Argument(help="nbgrader's assignment, for example week11_serving.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Show where learners are stuck: the checks most missed, hints read, who handed in nothing."""
    found = overview_of(find_course(), assignment)
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=1))
        return
    console = Console(highlight=False)
    console.print(
        f"[bold]{escape(assignment)}[/bold]: {found.graded} of {found.learners} handed in and graded · "
        f"half of them have {number(found.median_points)} of {number(found.maximum)} points by checks or more"
    )
    table = Table(box=None, padding=(0, 1), title="Most missed", title_justify="left")
    for column in ("missed", "partly", "passed", "waits", "hints", "check", "lab"):
        table.add_column(column, justify="left" if column in ("check", "lab") else "right")
    for check in found.checks[:_MOST_MISSED]:
        if check.missed_share or check.undecided:
            counts = (check.failed, check.partly, check.passed, check.undecided, check.hints)
            table.add_row(*map(str, counts), escape(check.title), escape(check.lab))
    if table.row_count:
        console.print(table)
    for who, why in found.not_as_usual.items():
        console.print(f"{escape(who)}: {escape(why)}")
    if found.not_handed_in:
        console.print(f"Nothing from: {escape(', '.join(found.not_handed_in))}")
