"""`workbook progress`: what is done, what is open, and what to do next."""

from __future__ import annotations

import html
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from autograder.display import number
from autograder.loading import load_rubric
from autograder.workplace import Results
from labkit.course import Course, find_course


@dataclass(frozen=True)
class Standing:
    """How far one lab is."""

    lab: str
    points: float
    maximum: float
    checked: bool
    hints: int
    next_check: str

    @property
    def share(self) -> float:
        """From 0 to 1."""
        return self.points / self.maximum if self.maximum else 0.0


def standings(course: Course) -> list[Standing]:
    """How far each lab is, by the last report of its checks."""
    found = []
    for lab in course.labs:
        rubric = load_rubric(lab)
        results = Results.of(course.learn / lab.assignment)
        report = results.report(lab)
        visible = [spec for spec in rubric.checks if not spec.hidden]
        passed = {o.check for o in report.outcomes if o.points == o.maximum} if report else set()
        open_titles = [spec.title for spec in visible if spec.name not in passed]
        found.append(
            Standing(
                lab=lab.id,
                points=report.points if report else 0.0,
                maximum=sum(spec.points for spec in visible),
                checked=report is not None,
                hints=sum(results.hints_seen(lab).values()),
                next_check=open_titles[0] if open_titles else "",
            )
        )
    return found


def progress(as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False) -> None:
    """Show what is done and what to do next; learn/progress.html shows the same as a picture."""
    course = find_course()
    found = standings(course)
    if as_json:
        typer.echo(json.dumps([asdict(standing) for standing in found], indent=1))
        return
    console = Console(highlight=False)
    table = Table(box=None, padding=(0, 1))
    for column in ("lab", "points", "", "open"):
        table.add_column(column)
    for s in found:
        bar = "█" * round(s.share * 20) + "░" * (20 - round(s.share * 20))
        table.add_row(s.lab, f"{number(s.points)} of {number(s.maximum)}", bar, s.next_check or "all passed")
    console.print(table)
    console.print(next_step(found), style="bold")
    if course.learn.is_dir():
        page = course.learn / "progress.html"
        write_page(page, found)
        console.print(f"As a picture: {page.relative_to(course.root)}", style="dim")


def next_step(found: list[Standing]) -> str:
    """What to do next, in one line."""
    for s in found:
        if s.next_check:
            return f"Next: {s.next_check} (workbook check {s.lab})"
    return "Everything that is checked here has passed."


def write_page(page: Path, found: list[Standing]) -> None:
    """The same as a page of its own, readable without colour, in dark and light."""
    rows = "".join(
        f"<tr><th scope='row'>{html.escape(s.lab)}</th>"
        f"<td><meter min='0' max='{s.maximum}' value='{s.points}' "
        f"aria-label='{html.escape(s.lab)}: {number(s.points)} of {number(s.maximum)} points'></meter></td>"
        f"<td>{number(s.points)} of {number(s.maximum)}</td>"
        f"<td>{html.escape(s.next_check or 'all passed')}</td></tr>"
        for s in found
    )
    page.write_text(
        "<!doctype html><html lang='en'><meta charset='utf-8'><title>Progress</title>"
        "<meta name='viewport' content='width=device-width'>"
        "<style>:root{color-scheme:light dark;font-family:system-ui,sans-serif}"
        "body{max-width:50em;margin:2em auto;padding:0 1em}td,th{text-align:left;padding:.4em .8em}"
        "meter{width:12em;height:1.2em}</style>"
        f"<main><h1>Progress</h1><table><thead><tr><th scope='col'>Lab</th><th scope='col'>Done</th>"
        "<th scope='col'>Points</th><th scope='col'>Open</th></tr></thead>"
        f"<tbody>{rows}</tbody></table><p><strong>{html.escape(next_step(found))}</strong></p></main></html>\n"
    )
