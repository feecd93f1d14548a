"""`workbook progress`: what is done, what is open, and what to do next."""

from __future__ import annotations

import html
import json
import re
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from autograder.display import number
from autograder.loading import load_rubric
from autograder.metrics import Finding, find_metrics
from autograder.report import STYLE, metric_cards
from autograder.results import Report
from autograder.sources import read_source
from autograder.workplace import Results
from labkit.course import Course, find_course


@dataclass(frozen=True)
class Standing:
    """How far one lab is."""

    lab: str
    title: str
    notebook: str
    assignment: str
    points: float
    maximum: float
    checked: bool
    hints: int
    next_check: str

    @property
    def share(self) -> float:
        """From 0 to 1."""
        return self.points / self.maximum if self.maximum else 0.0

    @property
    def open(self) -> str:
        """What is to be done next in this lab, in words."""
        if not self.checked:
            return "not begun"
        return self.next_check or "all passed"


def progress(as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False) -> None:
    """Show what is done and what to do next; learn/progress.html shows the same as a picture."""
    course = find_course()
    found = standings(course)
    metrics = find_metrics(_reports(course), "You have not measured it yet.")
    if as_json:
        typer.echo(json.dumps([asdict(standing) for standing in found], indent=1))
        return
    console = Console(highlight=False)
    table = Table(box=None, padding=(0, 1))
    for column in ("lab", "points", "", "open"):
        table.add_column(column)
    for s in found:
        bar = "━" * round(s.share * 20) + "┄" * (20 - round(s.share * 20))
        table.add_row(s.lab, f"{number(s.points)} of {number(s.maximum)}", bar, s.open)
    console.print(table)
    console.print(next_step(course, found, in_terminal=True), style="bold")
    if course.learn.is_dir():
        page = course.learn / "progress.html"
        write_page(page, found, metrics, next_step(course, found, in_terminal=False))
        console.print(f"As a picture: {page.relative_to(course.root)}", style="dim")


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
                title=lab.title,
                notebook=f"{lab.assignment}/{lab.name}.ipynb",
                assignment=lab.assignment,
                points=report.points if report else 0.0,
                maximum=sum(spec.points for spec in visible),
                checked=report is not None,
                hints=sum(results.hints_seen(lab).values()),
                next_check=open_titles[0] if open_titles else "",
            )
        )
    return found


def next_step(course: Course, found: list[Standing], *, in_terminal: bool) -> str:
    """What to do next, in one line: what was begun comes first.

    Args:
        course: Whose labs.
        found: How far each lab is.
        in_terminal: Say the command or the path too, which a page has links for.
    """
    unfinished = sorted((s for s in found if s.next_check), key=lambda s: not s.checked)
    if not unfinished:
        return "Everything that is checked here has passed."
    first = unfinished[0]
    if first.checked:
        how = f" (workbook check {first.lab})" if in_terminal else f", in “{first.title}”."
        return f"Next: {first.next_check}{how}"
    minutes = read_source(course.lab(first.lab)).header.minutes
    how = f" (learn/{first.notebook})" if in_terminal else "."
    return f"Next: {first.title}, about {minutes} minutes{how}"


_SPOKEN = {
    "iac": "infrastructure as code",
    "kubernetes": "Kubernetes",
    "multicloud_platform": "multi-cloud platform",
}


def assignment_title(assignment: str) -> str:
    """`week12_iac` as people say it: Week 12: infrastructure as code."""
    found = re.fullmatch(r"([a-z]+)0*(\d+)_(\w+)", assignment)
    assert found is not None, assignment
    return f"{found[1].capitalize()} {found[2]}: {_SPOKEN.get(found[3], found[3].replace('_', ' '))}"


def write_page(page: Path, found: list[Standing], metrics: list[Finding], next_line: str) -> None:
    """The same as a page of its own, readable without colour, in dark and light."""
    weeks = "".join(
        f"<h2>{html.escape(assignment_title(assignment))}</h2>"
        f"<div class='cards'>{''.join(map(_card, labs))}</div>"
        for assignment, labs in groupby(found, key=lambda s: s.assignment)
    )
    page.write_text(
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><title>Progress</title>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<style>{STYLE} meter {{ width: 100%; height: 1.2em }}</style></head><body><main>"
        f"<h1>Progress</h1><p><strong>{html.escape(next_line)}</strong></p>{weeks}"
        f"<h2>The four metrics</h2><div class='cards'>{metric_cards(metrics)}</div></main></body></html>\n"
    )


def _card(s: Standing) -> str:
    points = f"{number(s.points)} of {number(s.maximum)} points"
    hints = f" · {s.hints} {'hint' if s.hints == 1 else 'hints'} taken" if s.hints else ""
    name = html.escape(s.title)
    open_words = f"Next: {s.open}" if s.checked and s.next_check else s.open
    return (
        f"<section class='card'><h3>{name}</h3>"
        f"<meter min='0' max='{s.maximum}' value='{s.points}' aria-label='{name}: {points}'>"
        f"</meter><p>{points}{hints}</p><p>{html.escape(open_words)}</p></section>"
    )


def _reports(course: Course) -> list[Report]:
    found = (Results.of(course.learn / lab.assignment).report(lab) for lab in course.labs)
    return [report for report in found if report is not None]
