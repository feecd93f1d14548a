"""The command line, `workbook`: every command's errors are said in one to three lines.

Only the module of the command that was asked for is loaded: a check's first result is there in the time that
loading nbgrader alone would take.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib import import_module

import typer
from rich.console import Console
from rich.markup import escape

from labkit.errors import WorkbookError

INTERRUPTED = 130
COMMANDS = {
    "doctor": "doctor:doctor",
    "lab": "lab:lab",
    "check": "check:check",
    "measure": "measure:app",
    "up": "services:up",
    "down": "services:down",
    "prefetch": "supplies:prefetch",
    "clean": "supplies:clean",
    "progress": "progress:progress",
    "reset": "lab:reset",
    "submit": "submit:submit",
    "run": "run:run:RunCommand",
    "course": "course:course",
    "validate": "validate:validate",
    "new-lab": "new_lab:new_lab",
    "bundle": "bundle:bundle",
    "roster": "cohort:roster",
    "release": "grading:release",
    "collect": "grading:collect",
    "grade": "grading:grade",
    "feedback": "grading:feedback",
    "export": "grading:export",
    "extend": "cohort:extend",
    "overview": "cohort:overview",
    "regrade": "regrade:regrade_command",
}
"""Each command, its module and function (and its class), in the order in which `workbook` lists them."""


def command_line(names: Iterable[str] = COMMANDS) -> typer.Typer:
    """The command line with these commands, all by default."""
    app = typer.Typer(
        name="workbook",
        help="Infrastructure & Deployment for Machine Learning: labs, checks, grading.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(lambda: None)  # so that it stays a group, also with one command
    for name in names:
        where, attribute, *of_class = COMMANDS[name].split(":")
        module = import_module(f"autograder.commands.{where}")
        command = getattr(module, attribute)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            app.command(name, cls=getattr(module, of_class[0]) if of_class else None)(command)
    return app


def main() -> None:
    """Run the command line; the exit code says what was found."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    asked = sys.argv[1] if len(sys.argv) > 1 else ""
    try:
        command_line([asked] if asked in COMMANDS else COMMANDS)()
    except WorkbookError as error:
        console.print(f"[bold]{escape(error.what)}[/bold]")
        if rest := " ".join(part for part in (error.why, error.next_step) if part):
            console.print(escape(rest))
        sys.exit(2)
    except SystemExit as ended:
        if ended.code == INTERRUPTED:
            console.print("Interrupted: nothing is left running, and earlier results are as they were.")
        raise
