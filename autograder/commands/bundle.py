"""`workbook bundle`: what a cohort of learners gets, as one zip and as one wheel."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from autograder.classroom.bundle import make_bundle
from autograder.classroom.wheel import make_wheel
from labkit.course import find_course


def bundle(
    to: Annotated[
        Path | None, typer.Option(help="The zip; build/bundle by default. The wheel goes beside it.")
    ] = None,
    dirty: Annotated[
        bool, typer.Option("--dirty", help="Take files as they are, although some are not committed.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Write the learners' package: the workbook without answers, solutions and hidden checks."""
    course = find_course()
    made = make_bundle(course, to, dirty=dirty)
    wheel = make_wheel(course, made)
    if as_json:
        typer.echo(json.dumps(asdict(made) | {"wheel": wheel}, indent=1, default=str))
        return
    shown, wheel_shown = (
        path.relative_to(course.root) if path.is_relative_to(course.root) else path
        for path in (made.path, wheel)
    )
    changed = f" and {len(made.changed)} files that are not committed" if made.changed else ""
    console = Console(highlight=False, soft_wrap=True)
    console.print(
        f"[bold]{escape(str(shown))}[/bold]: {made.files} files, {made.bytes / 1e6:.1f} MB, "
        f"from {made.commit}{changed}."
    )
    console.print("It was searched by content: no answer, no solution and no hidden check is in it.")
    console.print("A learner unpacks it and runs `make lab` in the folder; its README says the rest.")
    console.print(f"The same as a wheel: [bold]{escape(str(wheel_shown))}[/bold].")
    console.print("A learner installs it with pip and runs `workbook start FOLDER`.")
