"""`workbook check`: judge a lab's work in the terminal, once or at every save."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from filelock import BaseFileLock, Timeout
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.padding import Padding
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from autograder.checking import Event, Progress, Started, run_checks
from autograder.display import number, summary
from autograder.hints import NOTHING_OPEN, take_hint
from autograder.loading import Rubric, load_rubric
from autograder.results import Outcome, Report
from autograder.workplace import Results, one_at_a_time, work_folder
from labkit.course import Course, find_course
from labkit.errors import WorkbookError
from labkit.verdicts import Verdict

_STYLE = {
    Verdict.PASSED: "green",
    Verdict.FAILED: "red",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.ERROR: "magenta",
    Verdict.NOT_MEASURED: "cyan",
    Verdict.BLOCKED: "dim",
}


def check(
    lab: Annotated[str, typer.Argument(help="The lab, for example week11/fastapi_server.")],
    part: Annotated[str | None, typer.Option(help="One check only, with what it depends on.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Check again at every save.")] = False,
    hint: Annotated[bool, typer.Option("--hint", help="Show one more hint for what is open.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    judge: Annotated[bool, typer.Option("--judge", help="A project's whole hour, with its report.")] = False,
    short: Annotated[bool, typer.Option("--short", help="With --judge: what fits in four minutes.")] = False,
    work: Annotated[
        Path | None, typer.Option(help="The folder that holds the lab's folder; your copy by default.")
    ] = None,
) -> None:
    """Judge a lab's work: points, evidence, and one hint at a time."""
    course = find_course()
    found = course.lab(lab)
    rubric = load_rubric(found)
    folder = work or work_folder(course, found)
    console = Console(highlight=False)
    if judge:
        from autograder.commands.judge import judge as judge_project

        judge_project(console, course, found, folder, short=short)
    if hint:
        _hint(console, rubric, Results.of(folder), part)
        return
    if watch:
        _watch(console, course, rubric, folder, part)
        return
    report = _judge(console, course, rubric, folder, part, quiet=as_json)
    if as_json:
        typer.echo(report.model_dump_json(indent=1))
    raise typer.Exit(report.verdict.exit_code)


def _judge(
    console: Console, course: Course, rubric: Rubric, work: Path, part: str | None, *, quiet: bool = False
) -> Report:
    """Run the checks, showing rows as they are known, and keep the report."""
    lab = rubric.lab
    lock = one_at_a_time(lab, course.build / "logs")
    if not quiet and _is_held(lock):
        console.print(f"Another check of {lab.id} is running; this one starts when it has ended.")
    with lock:
        if quiet:
            report = run_checks(lab, work, parts=[part] if part else None)
        else:
            with Live(console=console, refresh_per_second=8, transient=True) as live:
                board = _Board(rubric, live)
                report = run_checks(lab, work, parts=[part] if part else None, on_event=board.receive)
            console.print(_table(rubric, report.outcomes))
            console.print(Padding(_ending(report), (0, 1)))
    Results.of(work).keep(lab, report)
    return report


def _is_held(lock: BaseFileLock) -> bool:
    """Whether another process holds that lock now."""
    try:
        with lock.acquire(timeout=0):
            return False
    except Timeout:
        return True


class _Board:
    """The rows so far, and what the running check does."""

    def __init__(self, rubric: Rubric, live: Live) -> None:
        self.rubric = rubric
        self.live = live
        self.outcomes: list[Outcome] = []
        self.doing = "starting"

    def receive(self, event: Event) -> None:
        if isinstance(event, Outcome):
            self.outcomes.append(event)
        elif isinstance(event, Started):
            self.doing = self.rubric.check(event.check).title
        elif isinstance(event, Progress):
            self.doing = event.words
        spinner = Spinner("dots", Text(f" {self.doing} ..."))
        self.live.update(Group(_table(self.rubric, self.outcomes), Padding(spinner, (0, 1))))


def _table(rubric: Rubric, outcomes: list[Outcome]) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 1), title_justify="left", title=rubric.lab.id)
    table.title_style = "bold"
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    for outcome in outcomes:
        text = Text(outcome.title)
        if outcome.evidence:
            text.append(f"\n{outcome.evidence}", style="dim")
        if outcome.verdict is not Verdict.PASSED and outcome.cause:
            text.append(f"\n{outcome.cause}")
        table.add_row(
            Text(outcome.verdict.words, style=_STYLE[outcome.verdict]),
            f"{number(outcome.points)}/{number(outcome.maximum)}",
            text,
        )
    return table


def _ending(report: Report) -> Text:
    text = Text(f"{summary(report)} ({report.tier.value}, {report.seconds:.1f} s)", style="bold")
    if any(o.verdict is Verdict.FAILED and o.hints for o in report.outcomes):
        text.append(f"\nA hint: workbook check {report.lab} --hint", style="not bold")
    return text


def _hint(console: Console, rubric: Rubric, results: Results, part: str | None) -> None:
    """Show one hint more."""
    hints = take_hint(rubric, results, part)
    if hints is None:
        console.print(NOTHING_OPEN)
        return
    console.print(f"[bold]{escape(hints.title)}[/bold]")
    for place, text in enumerate(hints.shown, 1):
        console.print(f" {place}. {escape(text)}")
    console.print(hints.remainder)


def _watch(console: Console, course: Course, rubric: Rubric, work: Path, part: str | None) -> None:
    """Judge now and after every save, until Ctrl-C."""
    from watchfiles import watch

    folder = work / rubric.lab.name
    if not folder.is_dir():
        raise WorkbookError(
            f"There is no folder {folder.name} to watch.", next_step="`workbook lab` makes it."
        )
    _judge(console, course, rubric, work, part)
    console.print("Waiting for the next save; Ctrl-C ends.", style="dim")
    for _ in watch(folder, watch_filter=lambda _, path: not path.endswith((".log", ".pyc"))):
        console.rule(style="dim")
        _judge(console, course, rubric, work, part)
        console.print("Waiting for the next save; Ctrl-C ends.", style="dim")
