"""`workbook doctor`: what this machine has, what each part runs on, and what brings what is missing."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from labkit.doctor import Diagnosis, Part, examine
from labkit.errors import WorkbookError


def doctor(
    fix: bool = typer.Option(False, "--fix", help="Run the commands that bring what is missing."),
    as_json: bool = typer.Option(False, "--json", help="Print it as JSON."),
) -> None:
    """Show what this machine has and what brings what is missing."""
    diagnosis = examine()
    failures: list[Part] = []
    if fix and diagnosis.missing:
        root = Path(diagnosis.root)
        failures = _mend(diagnosis.missing, root)
        diagnosis = examine(root)
    if as_json:
        typer.echo(json.dumps(diagnosis.as_json(), indent=1))
    else:
        show(diagnosis, Console(highlight=False))
    if failures:
        raise typer.Exit(1)


def _mend(missing: list[Part], root: Path) -> list[Part]:
    """Runs what can be run without a person; gives the parts whose command failed."""
    failed: list[Part] = []
    done: dict[tuple[str, ...], bool] = {}
    for part in missing:
        if not part.fix:
            continue
        if part.fix not in done:
            typer.echo(f"$ {part.command}", err=True)
            done[part.fix] = _run(part.fix, root)
        if not done[part.fix]:
            failed.append(part)
    return failed


def _run(command: tuple[str, ...], root: Path) -> bool:
    try:
        # What it prints goes to the standard error: the standard output is the table or the JSON.
        return subprocess.run(command, cwd=root, stdout=2, check=False).returncode == 0
    except FileNotFoundError as error:
        what = f"{command[0]} is not installed."
        raise WorkbookError(what, next_step=f"Install it, then run: {' '.join(command)}") from error


def show(diagnosis: Diagnosis, console: Console) -> None:
    """Print it on one screen."""
    console.print(Text(str(diagnosis.hardware)), soft_wrap=True)
    console.print()
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="")
    for column in ("what", "needed by", "runs on", "tier"):
        table.add_column(column, overflow="fold")
    for part in diagnosis.parts:
        tier = part.tier.value if part.tier else "missing" if part.missing else "not measured here"
        table.add_row(*(Text(cell) for cell in (part.what, part.needed_by, part.runs_on, tier)))
    console.print(table)
    console.print()
    if not diagnosis.missing:
        console.print("Nothing is missing.")
        return
    for part in diagnosis.missing:
        console.print(Text(f"{part.what}: {part.missing}."), soft_wrap=True)
        console.print(Text(f"  {part.command}", style="bold"), soft_wrap=True)
    if any(part.fix for part in diagnosis.missing):
        console.print("All that can be run from here: workbook doctor --fix")
