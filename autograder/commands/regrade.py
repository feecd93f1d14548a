"""`workbook regrade`: who would change after a rubric was repaired, and by how much, before it is written."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from autograder.commands.grading import cores
from autograder.display import number
from autograder.nbgrading import Changed, Regraded, Settings, regrade
from autograder.nbgrading.job import ISOLATED_RUNNER, KERNEL_RUNNER
from autograder.nbgrading.runner import can_isolate, choose_runner
from autograder.results import Outcome
from labkit.verdicts import Verdict


def regrade_command(
    assignment: Annotated[str, typer.Argument(help="nbgrader's assignment, for example week11_serving.")],
    learner: Annotated[list[str] | None, typer.Option(help="Only this learner; may be repeated.")] = None,
    check: Annotated[
        str, typer.Option(metavar="LAB:CHECK", help="Only this check, and those that wait for it.")
    ] = "",
    write: Annotated[
        bool, typer.Option("--write", help="Take over what was shown into the gradebook.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Judge anew, also what was shown before.")] = False,
    unisolated: Annotated[
        bool, typer.Option("--unisolated", help="Where there is no sandbox, run learners' code as yourself.")
    ] = False,
    jobs: Annotated[int | None, typer.Option(help="How many are judged at once.", min=1)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Judge work anew by the rubrics as they are now. Who would change is shown; --write takes it over."""
    choose_runner(unisolated=unisolated)
    found = regrade(
        assignment,
        learner,
        check=check,
        write=write,
        again=again,
        settings=Settings(runner=ISOLATED_RUNNER if can_isolate() else KERNEL_RUNNER),
        jobs=jobs or cores(),
    )
    if as_json:
        changed = [_plain(each) for each in found.changed]
        said = {"assignment": assignment, "written": found.written, "changed": changed}
        typer.echo(json.dumps(said, indent=1))
    else:
        _show(Console(highlight=False), assignment, found)
    raise typer.Exit(Verdict.ERROR.exit_code if found.summary.own_errors else 0)


def _plain(change: Changed) -> dict[str, Any]:
    outcomes = {"before": change.before, "after": change.after}
    plain = {name: each.model_dump(mode="json") if each else None for name, each in outcomes.items()}
    return {**asdict(change), **plain, "points": change.points}


def _show(console: Console, assignment: str, found: Regraded) -> None:
    by_learner: defaultdict[str, list[Changed]] = defaultdict(list)
    for each in found.changed:
        by_learner[each.learner].append(each)
    judged = len(found.summary.records)
    if not by_learner:
        console.print(f"[bold]{escape(assignment)}[/bold]: {judged} judged anew, and nobody changes.")
        return
    changes = "has changed" if found.written else "would change"
    console.print(f"[bold]{escape(assignment)}[/bold]: {len(by_learner)} of {judged} {changes}.")
    table = Table(box=None, padding=(0, 1))
    for column in ("learner", "points", "check", "before", "now"):
        table.add_column(column, justify="right" if column == "points" else "left")
    for learner, changes_of in by_learner.items():
        for each in changes_of:
            before = _said(each.before) if each.before else "nothing"
            table.add_row(escape(learner), f"{each.points:+g}", escape(each.title), before, _said(each.after))
    console.print(table)
    for error in found.summary.own_errors:
        console.print(
            f"Error on our side, {escape(error.learner)}, {escape(error.where)}: it stays as it was."
        )
    if not found.written:
        console.print("Nothing is written yet. The same command with --write takes over just this.")


def _said(outcome: Outcome) -> str:
    return f"{number(outcome.points)} of {number(outcome.maximum)}, {outcome.verdict.words}"
