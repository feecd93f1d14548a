"""`workbook release`, `collect`, `grade`, `feedback` and `export`: nbgrader with the course's own judging."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from autograder.display import number
from autograder.nbgrading import Settings, Status, Summary
from autograder.nbgrading import collect as collect_work
from autograder.nbgrading import export as export_scores
from autograder.nbgrading import feedback as make_feedback
from autograder.nbgrading import grade as grade_work
from autograder.nbgrading import release as release_assignment
from autograder.nbgrading.grading import Done, GradingEvent
from autograder.nbgrading.runner import RunLimits, choose_runner
from labkit.course import find_course
from labkit.errors import WorkbookError
from labkit.verdicts import Verdict

_Assignment = Annotated[str, typer.Argument(help="nbgrader's assignment, for example week11_serving.")]
_Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
_BINS = 5
_SHOWN = 5


def release(
    assignment: _Assignment,
    due: Annotated[str | None, typer.Option(help="When it is due, 2026-01-12T23:00+00:00.")] = None,
    as_json: _Json = False,
) -> None:
    """Make the learners' version of an assignment."""
    folder = release_assignment(assignment, due=_time(due))
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    if as_json:
        typer.echo(json.dumps({"assignment": assignment, "folder": str(folder), "files": files}, indent=1))
    else:
        _console().print(f"Released {escape(assignment)}: {len(files)} files in {escape(_short(folder))}.")


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise WorkbookError(
            f"{text!r} is not a time.",
            next_step="Write it as 2026-01-12T23:00+00:00; without a zone it is UTC.",
        ) from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def collect(
    assignment: _Assignment,
    source: Annotated[
        Path | None,
        typer.Option("--from", help="A folder that holds LEARNER/ASSIGNMENT; the exchange by default."),
    ] = None,
    as_json: _Json = False,
) -> None:
    """Take over what learners handed in."""
    collected = collect_work(assignment, source)
    if as_json:
        typer.echo(json.dumps(vars(collected), indent=1))
        return
    console = _console()
    console.print(
        f"Collected {len(collected.taken)} submissions; {len(collected.unchanged)} were here already."
    )
    for sentence in collected.refused:
        console.print(f"  {escape(sentence)}")


def grade(
    assignment: _Assignment,
    learner: Annotated[list[str] | None, typer.Option(help="Only this learner; may be repeated.")] = None,
    run: Annotated[
        bool | None,
        typer.Option("--run/--no-run", help="Run the notebooks; by default those that make what is judged."),
    ] = None,
    seconds: Annotated[float, typer.Option(help="How long one notebook may run.", min=1)] = 120.0,
    unisolated: Annotated[
        bool, typer.Option("--unisolated", help="Where there is no sandbox, run learners' code as yourself.")
    ] = False,
    as_json: _Json = False,
) -> None:
    """Judge what was handed in, from outside, and write the scores into nbgrader's gradebook."""
    settings = Settings(
        runner=choose_runner(unisolated=unisolated), run=run, run_limits=RunLimits(seconds=seconds)
    )
    console = _console()
    try:
        if as_json:
            summary = grade_work(assignment, learner, settings=settings)
        else:
            summary = _grade_with_bar(assignment, learner, settings, console)
    except KeyboardInterrupt:
        Console(stderr=True).print(
            "Interrupted. What was graded is kept whole; name the others with --learner, or grade all again."
        )
        raise typer.Exit(130) from None
    if as_json:
        typer.echo(summary.model_dump_json(indent=1))
    else:
        console.print(summary_of(summary))
    raise typer.Exit(Verdict.ERROR.exit_code if summary.own_errors else 0)


def _grade_with_bar(
    assignment: str, learners: list[str] | None, settings: Settings, console: Console
) -> Summary:
    """Grade with a bar that shows how far it is, what it does and what came of it."""
    statuses: Counter[str] = Counter()
    with Progress(
        TextColumn(f"[bold]{escape(assignment)}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.description}"),
        console=console,
        transient=True,
    ) as progress:
        task = progress.add_task("", total=None)

        def receive(event: GradingEvent) -> None:
            if isinstance(event, Done):
                statuses[event.record.status if event.record else "error on our side"] += 1
                said = " · ".join(f"{status} {count}" for status, count in statuses.items())
                progress.update(task, completed=event.done, total=event.total, description=said)
            else:
                progress.update(task, description=escape(f"{event.learner}: {event.phase} {event.lab}"))

        return grade_work(assignment, learners, settings=settings, on_event=receive)


def feedback(assignment: _Assignment, as_json: _Json = False) -> None:
    """Make the pages that go back to learners."""
    pages = make_feedback(assignment)
    if as_json:
        typer.echo(json.dumps([str(page) for page in pages], indent=1))
    else:
        folder = pages[0].parent.parent.parent
        _console().print(f"Made {len(pages)} pages of feedback in {escape(_short(folder))}.")


def export(
    assignment: _Assignment,
    to: Annotated[Path | None, typer.Option(help="The file; build/nbgrader/exports by default.")] = None,
    as_json: _Json = False,
) -> None:
    """Write everyone's points, total, status and reason as CSV."""
    path = export_scores(assignment, to=to)
    if as_json:
        typer.echo(json.dumps({"file": str(path)}))
    else:
        _console().print(f"Wrote {escape(_short(path))}.")


# ---- the summary ------------------------------------------------------------------------------------------


def summary_of(summary: Summary) -> RenderableType:
    """What a run of grading found, for the instructor: short where all is well."""
    parts: list[RenderableType] = [Text(_first_line(summary), style="bold")]
    if any(lab.report for record in summary.records for lab in record.labs):
        parts.append(_distribution(summary))
    for title, verdicts in (
        ("Failed most often", (Verdict.FAILED,)),
        ("Waits for a person", (Verdict.INCONCLUSIVE, Verdict.NOT_MEASURED)),
    ):
        found = summary.checks_with(*verdicts)[:_SHOWN]
        if found:
            rows = [(str(count), lab, check) for lab, check, count in found]
            parts.append(_rows(title, rows))
    odd = [record for record in summary.records if record.status is not Status.GRADED]
    if odd:
        rows = [(record.learner, record.status.value, record.reason) for record in odd]
        parts.append(_rows("Not graded as usual", rows))
    if summary.refused:
        parts.append(_rows("Left out", [(sentence,) for sentence in summary.refused]))
    if summary.own_errors:
        rows = [(e.learner, e.where, e.message.strip().splitlines()[-1]) for e in summary.own_errors]
        parts.append(_rows("Errors on our side", rows))
    phases = " · ".join(f"{phase} {seconds:.1f} s" for phase, seconds in summary.phases.items())
    parts.append(Text(f"\nTime: {summary.seconds:.1f} s{f' ({phases})' if phases else ''}", style="dim"))
    return Group(*parts)


def _first_line(summary: Summary) -> str:
    said = " · ".join(f"{status} {count}" for status, count in summary.statuses.items())
    return f"{summary.assignment}: {said or 'nothing to grade'}"


def _distribution(summary: Summary) -> RenderableType:
    """How many submissions lie in each fifth of the points that the checks give."""
    counts = [0] * _BINS
    highest = max(_maximum(summary), 1e-9)
    for record in summary.records:
        counts[min(_BINS - 1, int(_BINS * record.points / highest))] += 1
    edges = [highest * place / _BINS for place in range(_BINS + 1)]
    return _rows(
        "Points by checks",
        [
            (f"{number(low)} to {number(high)}", str(count), "█" * count)
            for low, high, count in zip(edges, edges[1:], counts, strict=False)
        ],
    )


def _maximum(summary: Summary) -> float:
    """What all checks of the assignment are worth."""
    worth: dict[tuple[str, str], float] = {}
    for record in summary.records:
        for lab in record.labs:
            for outcome in lab.report.outcomes if lab.report else []:
                worth[lab.lab, outcome.check] = outcome.maximum
    return sum(worth.values())


def _rows(title: str, rows: Sequence[Sequence[str]]) -> RenderableType:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for row in rows:
        table.add_row(*(Text(cell, overflow="fold") for cell in row))
    return Group(Text(f"\n{title}", style="bold"), Padding(table, (0, 0, 0, 1)))


def _console() -> Console:
    return Console(highlight=False)


def _short(path: Path) -> str:
    root = find_course().root
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
