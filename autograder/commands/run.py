"""`workbook run`: execute notebooks from end to end."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from autograder.display import summary
from autograder.run import CellStarted, RunResult, run_notebook
from labkit.course import find_course
from labkit.errors import WorkbookError
from labkit.verdicts import Verdict


def run(
    words: Annotated[
        list[str],
        typer.Argument(metavar="LAB... [-p NAME VALUE]...", help="Labs or weeks, and notebooks' parameters."),
    ],
    work: Annotated[
        Path | None,
        typer.Option(help="A folder of an assignment to run instead of the reference answer."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Execute notebooks with the reference answers, each in build/run, and keep what they give.

    Exit code 0: every cell ran and every check passed. 1: a check failed. 2: a cell did. 3: a check
    could not decide.
    """
    course = find_course()
    console = Console(highlight=False, quiet=as_json)
    labs, values = split(words)
    found = list(dict.fromkeys(lab for wanted in labs for lab in course.select(wanted)))
    results: list[RunResult] = []
    errors: list[WorkbookError] = []
    for lab in found:
        with console.status(f"{lab.id} starts ...") as status:

            def show(cell: CellStarted, lab_id: str = lab.id) -> None:
                status.update(f"{lab_id}  cell {cell.number} of {cell.of}  {escape(cell.text[:60])}")

            try:
                results.append(run_notebook(lab, values, work=work, course=course, on_cell=show))
            except WorkbookError as error:
                errors.append(error)
                console.print(f"[bold]{escape(error.what)}[/bold]")
                console.print(escape(" ".join(part for part in (error.why, error.next_step) if part)))
                continue
        console.print(_line(results[-1]))
    if as_json:
        said = [result.model_dump(mode="json") for result in results]
        typer.echo(json.dumps({"results": said, "errors": [str(error) for error in errors]}, indent=1))
    if errors:
        raise typer.Exit(2)
    verdicts = [result.report.verdict for result in results if result.report is not None]
    raise typer.Exit(Verdict.worst(verdicts).exit_code if verdicts else 0)


def split(words: list[str]) -> tuple[list[str], dict[str, Any]]:
    """Labs and parameters, `-p NAME VALUE` as often as wanted (as papermill has it; Typer can't say it).

    Raises:
        WorkbookError: A `-p` lacks its name or value, or there is an option that nobody knows.
    """
    labs: list[str] = []
    values: dict[str, Any] = {}
    rest = iter(words)
    for word in rest:
        if word in ("-p", "--parameter"):
            name, text = next(rest, None), next(rest, None)
            if name is None or text is None:
                raise WorkbookError(f"{word} lacks a name or a value.", next_step="Write -p NAME VALUE.")
            values[name] = value_of(text)
        elif word.startswith("-"):
            raise WorkbookError(f"There is no option {word}.", next_step="`workbook run --help` lists them.")
        else:
            labs.append(word)
    return labs, values


def value_of(text: str) -> Any:
    """What a parameter's text means: a number, true or false, a list; else the text itself."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _line(result: RunResult) -> str:
    checks = escape(summary(result.report)) if result.report else "no check in it"
    return f"{result.lab}  every cell ran in {result.seconds:.1f} s · {checks} · {result.notebook}"
