"""The command line, `workbook`: every command's errors are said in one to three lines."""

from __future__ import annotations

import sys

import typer
from rich.console import Console
from rich.markup import escape

from autograder.commands import (
    bundle,
    check,
    cohort,
    course,
    doctor,
    grading,
    lab,
    measure,
    new_lab,
    progress,
    run,
    services,
    submit,
    validate,
)
from labkit.errors import WorkbookError

INTERRUPTED = 130

app = typer.Typer(
    name="workbook",
    help="Infrastructure & Deployment for Machine Learning: labs, checks, grading.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("doctor")(doctor.doctor)
app.command("lab")(lab.lab)
app.command("check")(check.check)
app.add_typer(measure.app, name="measure")
app.command("up")(services.up)
app.command("down")(services.down)
app.command("progress")(progress.progress)
app.command("reset")(lab.reset)
app.command("run", cls=run.RunCommand)(run.run)
app.command("course")(course.course)
app.command("validate")(validate.validate)
app.command("bundle")(bundle.bundle)
app.command("submit")(submit.submit)
app.command("roster")(cohort.roster)
app.command("extend")(cohort.extend)
app.command("overview")(cohort.overview)
app.command("new-lab")(new_lab.new_lab)
for step in (grading.release, grading.collect, grading.grade, grading.feedback, grading.export):
    app.command()(step)


def main() -> None:
    """Run the command line; the exit code says what was found."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        app()
    except WorkbookError as error:
        console.print(f"[bold]{escape(error.what)}[/bold]")
        if rest := " ".join(part for part in (error.why, error.next_step) if part):
            console.print(escape(rest))
        sys.exit(2)
    except SystemExit as ended:
        if ended.code == INTERRUPTED:
            console.print("Interrupted: nothing is left running, and earlier results are as they were.")
        raise
