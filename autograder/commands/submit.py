"""`workbook submit`: the learner's work of one assignment as one zip to hand in."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from autograder.classroom.handing_in import Packed, pack
from labkit.course import find_course


def submit(
    assignment: Annotated[str, typer.Argument(help="The week or project, for example week11.")],
    to: Annotated[
        Path | None, typer.Option(help="The zip or the folder it goes into; learn/handed_in by default.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Write your work of a week or project into one zip, and say whether it is complete."""
    course = find_course()
    packed = pack(course, assignment, to)
    if as_json:
        typer.echo(json.dumps(asdict(packed), indent=1, default=str))
    else:
        _tell(Console(highlight=False, soft_wrap=True), packed, course.root)
    raise typer.Exit(1 if packed.missing else 0)


def _tell(console: Console, packed: Packed, root: Path) -> None:
    shown = packed.path.relative_to(root) if packed.path.is_relative_to(root) else packed.path
    console.print(f"[bold]{escape(str(shown))}[/bold]: {packed.files} files, {packed.bytes / 1e6:.1f} MB.")
    for path in packed.missing:
        console.print(f"  {escape(path)} was handed out and is missing.")
    for sentence in packed.left_out:
        console.print(f"  {escape(sentence)}")
    for lab in packed.untouched:
        console.print(f"  {escape(lab)} is as it was handed out: no file of it was edited.")
    if packed.missing:
        console.print(
            "It can be handed in as it is; what is missing earns no points. "
            "`workbook lab --no-open` lays missing files again, as they were handed out."
        )
    else:
        console.print("It is complete. Hand this file in where your course says.")
