"""`workbook validate`: the grader graded."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from autograder.commands.mutants import validate_mutants
from autograder.display import number
from autograder.mutation.mutants import Fate
from autograder.validate import Validation
from autograder.validate import validate as validate_lab
from labkit.course import find_course
from labkit.verdicts import Verdict


def validate(
    which: Annotated[str | None, typer.Argument(help="A week or a lab; all by default.")] = None,
    everything: Annotated[
        bool, typer.Option("--everything", help="Every answer on every check, and nothing from before.")
    ] = False,
    mutants: Annotated[
        bool, typer.Option("--mutants", help="Faults made in the reference answers: which lose points?")
    ] = False,
    sample: Annotated[int, typer.Option(help="How many mutants of each lab; all if 0.", min=0)] = 0,
    seed: Annotated[int, typer.Option(help="Of the choice of mutants.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> None:
    """Hold every answer of the rubrics against what it must earn.

    Exit code 0: all hold. 1: one was judged wrongly. 3: one stayed inconclusive. With --mutants: 0, or 4 if
    a mutant broke a check.
    """
    course = find_course()
    if mutants:
        found_mutants = validate_mutants(
            course, course.select(which), sample=sample, seed=seed, as_json=as_json
        )
        broke = any(each.count(Fate.BROKE) for each in found_mutants)
        raise typer.Exit(Verdict.ERROR.exit_code if broke else 0)
    console = Console(highlight=False, quiet=as_json)
    found: list[Validation] = []
    for lab in course.select(which):
        console.print(f"[bold]{lab.id}[/bold]")
        for one in validate_lab(lab, course.build / "validate", everything=everything):
            found.append(one)
            _show(console, one)
    if as_json:
        typer.echo(json.dumps([_plain(one) for one in found], indent=1))
    verdicts = [one.verdict for one in found]
    failed, undecided = verdicts.count(Verdict.FAILED), verdicts.count(Verdict.INCONCLUSIVE)
    console.print(f"{len(found)} answers: {len(found) - failed - undecided} as they should be", end="")
    console.print(f", {failed} judged wrongly, {undecided} inconclusive.")
    raise typer.Exit(Verdict.worst(verdicts).exit_code if not failed else 1)


def _show(console: Console, one: Validation) -> None:
    told = "as it should be" if one.verdict is Verdict.PASSED else one.verdict.words
    lost = ", ".join(one.answer.loses) if one.answer.name != "blank" else "all"
    console.print(
        f" {told:16} {one.answer.name:26} {number(one.report.points):>5} points  "
        f"{'loses ' + lost if lost else 'loses nothing'}"
        f"[dim]  {'kept' if one.cached else f'{one.report.seconds:.1f} s'}[/dim]"
    )
    for sentence in one.wrong:
        console.print(f"   {escape(sentence)}")


def _plain(one: Validation) -> dict[str, object]:
    return {
        "lab": one.answer.lab.id,
        "answer": one.answer.name,
        "verdict": one.verdict.value,
        "loses": list(one.answer.loses),
        "wrong": list(one.wrong),
        "points": one.report.points,
        "seconds": one.report.seconds,
        "cached": one.cached,
    }
