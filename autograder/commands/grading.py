"""`workbook release`, `collect`, `grade`, `feedback` and `export`: nbgrader with the course's own judging."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from autograder.classroom.collecting import collect_work
from autograder.display import number
from autograder.nbgrading import Settings, Status, Summary
from autograder.nbgrading import export as export_scores
from autograder.nbgrading import feedback as make_feedback
from autograder.nbgrading import grade as grade_work
from autograder.nbgrading import release as release_assignment
from autograder.nbgrading.grading import Done, GradingEvent, Step
from autograder.nbgrading.job import ISOLATED_RUNNER, KERNEL_RUNNER
from autograder.nbgrading.runner import RunLimits, can_isolate, choose_runner
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
        typer.Option(
            "--from",
            help="A folder of LEARNER/ASSIGNMENT, or of a learning platform's zips; the exchange by default.",
        ),
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
    for sentence in [*collected.refused, *collected.notes]:
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
    jobs: Annotated[
        int | None, typer.Option(help="How many are judged at once; as many as there are cores.", min=1)
    ] = None,
    scheduler: Annotated[
        str, typer.Option(metavar="ADDRESS", help="A Dask cluster that judges them, tcp://host:8786.")
    ] = "",
    again: Annotated[bool, typer.Option("--again", help="Grade also what has not changed.")] = False,
    as_json: _Json = False,
) -> None:
    """Judge what was handed in, from outside, and write the scores into nbgrader's gradebook.

    What was graded before and has not changed since is kept. A run that was cut off goes on where it was.
    """
    if not scheduler:
        choose_runner(unisolated=unisolated)  # refuses where there is no sandbox
    how: dict[str, Any] = {
        "settings": Settings(
            runner=ISOLATED_RUNNER if can_isolate() else KERNEL_RUNNER,
            run=run,
            run_limits=RunLimits(seconds=seconds),
        ),
        "jobs": jobs or cores(),
        "scheduler": scheduler,
        "again": again,
    }
    console = _console()
    try:
        if as_json:
            summary = grade_work(assignment, learner, **how)
        else:
            summary = _grade_with_bar(assignment, learner, how, console)
    except KeyboardInterrupt:
        Console(stderr=True).print(
            "Interrupted. What was graded is kept whole: the same command goes on from here."
        )
        raise typer.Exit(130) from None
    if as_json:
        typer.echo(summary.model_dump_json(indent=1))
    else:
        console.print(summary_of(summary))
    raise typer.Exit(Verdict.ERROR.exit_code if summary.own_errors else 0)


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Rate(ProgressColumn):
    """How many are done in a second."""

    def render(self, task: Task) -> Text:
        """As text, empty until it is known."""
        return Text(f"{number(round(task.speed, 1))} a second" if task.speed else "")


def _grade_with_bar(
    assignment: str, learners: list[str] | None, how: dict[str, Any], console: Console
) -> Summary:
    """Grade with a bar for each pass: how far it is, how fast, what it does and what came of it."""
    statuses: Counter[str] = Counter()
    with Progress(
        TextColumn(f"[bold]{escape(assignment)}[/bold] {{task.fields[part]}}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.description}"),
        console=console,
        transient=True,
    ) as progress:
        tasks = {"": progress.add_task("", total=None, part="")}

        def receive(event: GradingEvent) -> None:
            current = list(tasks.values())[-1]
            if isinstance(event, Step):
                if event.part not in tasks:
                    progress.remove_task(current)
                    tasks[event.part] = progress.add_task("", total=event.total, part=event.part)
                progress.update(tasks[event.part], completed=event.done)
            elif isinstance(event, Done):
                statuses[event.record.status if event.record else "error on our side"] += 1
                said = " · ".join(f"{status} {count}" for status, count in statuses.items())
                progress.update(current, description=said)
            elif not statuses:
                progress.update(current, description=escape(f"{event.learner}: {event.phase} {event.lab}"))

        return grade_work(assignment, learners, **how, on_event=receive)


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
    parts.append(Text(f"\n{_time_spent(summary)}", style="dim"))
    return Group(*parts)


def _first_line(summary: Summary) -> str:
    said = " · ".join(f"{status} {count}" for status, count in summary.statuses.items())
    kept = f" ({len(summary.kept)} as before: nothing of theirs has changed)" if summary.kept else ""
    return f"{summary.assignment}: {said or 'nothing to grade'}{kept}"


def _time_spent(summary: Summary) -> str:
    """The grader's own time: of the whole, of each of its passes, and of the workers in each phase."""
    spent_on = {what: spent for what, spent in summary.grader_seconds.items() if spent >= 0.05}
    own = " · ".join(f"{what} {spent:.1f} s" for what, spent in spent_on.items())
    workers = " · ".join(f"{phase} {spent:.1f} s" for phase, spent in summary.phases.items())
    lines = [f"Time: {summary.seconds:.1f} s{f' ({own})' if own else ''}"]
    return "\n".join([*lines, f"Workers: {workers}"] if workers else lines)


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
