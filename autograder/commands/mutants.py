"""`workbook validate --mutants`: which faults in a reference answer cost no points."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from autograder.mutation import Tally, mutants_of, run_mutants, tally
from autograder.mutation.mutants import Fate
from labkit.course import Course, Lab


def validate_mutants(
    course: Course, labs: Sequence[Lab], *, sample: int, seed: int, as_json: bool
) -> list[Tally]:
    """Run the mutants of these labs, show what became of them and keep it in `build/mutants.json`.

    Args:
        course: Whose build folder.
        labs: Which labs.
        sample: How many mutants of each lab; all if 0.
        seed: Of the choice.
        as_json: Whether JSON is printed and nothing else.
    """
    console = Console(highlight=False, quiet=as_json)
    found = []
    for lab in labs:
        mutants = mutants_of(lab)
        results = []
        able = sum(not mutant.reason for mutant in mutants)
        with console.status("") as status:
            status.update(f"{lab.id}: {len(mutants)} mutants")
            for result in run_mutants(lab, mutants, course.build / "validate", sample=sample, seed=seed):
                results.append(result)
                of = min(sample or able, able)
                status.update(
                    f"{lab.id}: {len(results)} of {of}, {result.fate} by {', '.join(result.checks)}"
                )
        found.append(tally(lab, mutants, results))
    page = course.build / "mutants.json"
    plain = [_plain(each, sample, seed) for each in found]
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(json.dumps(plain, indent=1) + "\n")
    if as_json:
        typer.echo(json.dumps(plain, indent=1))
    else:
        _show(console, found, page.relative_to(course.root))
    return found


def _show(console: Console, found: Sequence[Tally], page: Path) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("lab", "mutants", "equivalent", "run", "lost points", "survived", "undecided", "broke"):
        table.add_column(heading, justify="left" if heading == "lab" else "right")
    for each in found:
        share = "" if each.share is None else f" ({each.share:.0%})"
        counts = [str(each.count(fate)) for fate in (Fate.SURVIVED, Fate.UNDECIDED, Fate.BROKE)]
        lost = f"{each.count(Fate.KILLED)}{share}"
        table.add_row(each.lab, str(each.made), str(each.equivalent), str(each.run), lost, *counts)
    console.print(table)
    for each in found:
        for result in each.results:
            if result.fate is Fate.KILLED:
                continue
            mutant = result.mutant
            checks = f" ({', '.join(result.checks)})" if result.checks else ""
            where = f"{each.lab} · {mutant.file}:{mutant.line} · {mutant.operator}"
            console.print(f"\n[bold]{result.fate}[/bold] {escape(where)}{escape(checks)}")
            console.print(Text("\n".join(mutant.diff.splitlines()[3:])))
    console.print(f"\nAll of it: {page}", style="dim")


def _plain(each: Tally, sample: int, seed: int) -> dict[str, object]:
    kept = ("file", "operator", "line", "diff", "reason")
    return {
        "lab": each.lab,
        "mutants": each.made,
        "equivalent": each.equivalent,
        "run": each.run,
        "share_that_lost_points": each.share,
        "sample": sample,
        "seed": seed,
        "results": [
            {
                "fate": result.fate.value,
                "checks": list(result.checks),
                "seconds": result.seconds,
                **{name: value for name, value in asdict(result.mutant).items() if name in kept},
            }
            for result in each.results
        ],
    }
