"""`workbook prefetch` brings what labs would fetch, for work offline; `workbook clean` makes room again."""

from __future__ import annotations

import json
import shutil
import time
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from labkit.course import find_course
from labkit.environments import remove
from labkit.errors import WorkbookError
from labkit.supplies import Supply, folder_bytes, removable_environments, select, supplies

KEPT = "nbgrader"


def prefetch(
    wanted: Annotated[
        list[str] | None, typer.Argument(help="Weeks, projects or single supplies; everything by default.")
    ] = None,
    only_list: Annotated[bool, typer.Option("--list", help="Fetch nothing, show what is here.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Fetch what labs need, so that they work without a network, and say how big it is."""
    chosen = select(supplies(find_course().root), wanted or [])
    console = Console(stderr=True, highlight=False, soft_wrap=True, quiet=as_json)
    failures = {} if only_list else _fetch(chosen, console)
    if as_json:
        rows = [
            {"name": s.name, "used_by": s.used_by, "bytes": s.size(), "failed": failures.get(s.name, "")}
            for s in chosen
        ]
        typer.echo(json.dumps(rows, indent=1))
    else:
        _show(chosen, Console(highlight=False))
    for name, why in failures.items():
        console.print(f"[bold]{escape(name)} did not come.[/bold] {escape(why)}")
    if failures:
        raise typer.Exit(1)


def _fetch(chosen: list[Supply], console: Console) -> dict[str, str]:
    """Bring what is missing; gives why something did not come. The others are brought nevertheless."""
    failures: dict[str, str] = {}
    missing = [supply for supply in chosen if supply.size() is None]
    for number, supply in enumerate(missing, start=1):
        began = time.monotonic()
        console.print(f"{number} of {len(missing)}: {supply.name}")
        try:
            supply.fetch(lambda line: console.print(f"  {escape(line.strip())}"))
        except WorkbookError as error:
            failures[supply.name] = str(error)
        else:
            console.print(f"  {time.monotonic() - began:.0f} s, {_size(supply.size())}")
    return failures


def _show(chosen: list[Supply], console: Console) -> None:
    table = Table("What", "Used by", "Here", box=None, pad_edge=False)
    sizes = [supply.size() for supply in chosen]
    for supply, size in zip(chosen, sizes, strict=True):
        table.add_row(supply.name, ", ".join(supply.used_by), _size(size))
    console.print(table)
    console.print(f"Together {_size(sum(size or 0 for size in sizes))}.")


def _size(size: int | None) -> str:
    if size is None:
        return "not yet"
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def clean(
    environments: Annotated[
        bool, typer.Option("--environments", help="The isolated environments, too; labs make them again.")
    ] = False,
) -> None:
    """Remove what can be made again: results of runs, reports, pages. Work and grades stay."""
    course = find_course()
    freed = 0
    for path in sorted(course.build.glob("*")):
        if path.name == KEPT:
            typer.echo(f"build/{KEPT}: kept, for what was handed in and its grades are there")
            continue
        size = folder_bytes(path) if path.is_dir() else path.stat().st_size
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
        typer.echo(f"build/{path.name}: {_size(size)}")
        freed += size
    if environments:
        for environment in removable_environments(course.root):
            size = folder_bytes(environment.path)
            remove(environment, say=typer.echo)
            typer.echo(f"{environment.name}: {_size(size)}")
            freed += size
    typer.echo(f"Together {_size(freed)}.")
