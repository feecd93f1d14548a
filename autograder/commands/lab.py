"""`workbook lab` makes the learner's copy and opens JupyterLab; `workbook reset` starts a lab afresh."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from jupyter_core.paths import jupyter_runtime_dir
from rich.console import Console
from rich.markup import escape

from autograder.workspace import START_PAGE, Change, Done, make_copy
from autograder.workspace import reset as reset_lab
from labkit.course import Course, find_course
from labkit.errors import WorkbookError

# A socket's path has at most 103 letters (macOS; Linux: 107), and kernels' end with `/kernel-<UUID>-ipc-5`.
_LONGEST_FOLDER = 103 - len("/kernel--ipc-5") - 36
SETTINGS = Path(__file__).parents[1] / "jupyter"


def lab(
    no_open: Annotated[
        bool, typer.Option("--no-open", help="Make or update the copy only; start no JupyterLab.")
    ] = False,
    port: Annotated[int | None, typer.Option(help="JupyterLab's port; a free one by default.")] = None,
) -> None:
    """Make your copy of the course in learn/ and open it in JupyterLab.

    Files that you changed stay as they are; what is newer is laid beside them.
    """
    course = find_course()
    console = Console(highlight=False, soft_wrap=True)
    _tell(console, make_copy(course))
    if no_open:
        return
    command = jupyterlab(course, port)
    console.print("JupyterLab opens in your browser. Ctrl-C here ends it.")
    sys.stdout.flush()
    # Started in the copy, so that the instructor's settings for nbgrader, which lie beside it, are not read.
    os.chdir(course.learn)
    # JupyterLab takes over this terminal and its signals.
    os.execve(command[0], command, os.environ | jupyter_settings())  # noqa: S606


def reset(
    lab: Annotated[str, typer.Argument(help="The lab, for example week11/fastapi_server.")],
) -> None:
    """Start a lab afresh. Your version is set aside with the date, not deleted."""
    course = find_course()
    done = reset_lab(course, course.lab(lab))
    console = Console(highlight=False, soft_wrap=True)
    if done.kept is not None:
        console.print(f"Your version is kept in {escape(str(done.kept.relative_to(course.root)))}.")
    console.print(f"{escape(lab)} is as it was handed out: {len(done.changes)} files.")


def jupyterlab(course: Course, port: int | None = None) -> list[str]:
    """The command line that opens the learner's copy at its first page, on this machine only.

    Raises:
        WorkbookError: The course has no lab.
    """
    if not course.labs:
        raise WorkbookError("This course has no lab.", next_step="Change to the workbook's folder.")
    first = course.labs[0]
    start = f"{START_PAGE}.ipynb"
    page = start if (course.learn / start).is_file() else f"{first.assignment}/{first.name}.ipynb"
    return [
        *(sys.executable, "-m", "jupyterlab", "--ServerApp.ip=127.0.0.1"),
        f"--ServerApp.root_dir={course.learn}",
        f"--LabApp.default_url=/lab/tree/{page}",
        *(["--allow-root"] if os.geteuid() == 0 else []),  # a container's only user; it listens on loopback
        # In a home with so long a path no kernel would start.
        *(["--KernelManager.transport=tcp"] if len(jupyter_runtime_dir()) > _LONGEST_FOLDER else []),
        *([] if port is None else [f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]),
    ]


def jupyter_settings() -> dict[str, str]:
    """Variables by which JupyterLab finds our defaults; what a person has set for themselves goes first.

    It asks no website for news or versions, and kernels talk through files of their owner, not through TCP
    (`jupyterlab` says where they can't).
    Its launcher shows our cards. In its terminals, `workbook` is found: they are no login shells, which would
    set PATH anew.
    """
    theirs = os.environ.get("JUPYTER_CONFIG_PATH", "")
    programs = str(Path(sys.executable).parent)
    return {
        "JUPYTER_CONFIG_PATH": os.pathsep.join(filter(None, [theirs, str(SETTINGS)])),
        "JUPYTER_APP_LAUNCHER_PATH": str(SETTINGS),
        "PATH": os.pathsep.join(filter(None, [programs, os.environ.get("PATH", "")])),
    }


def _tell(console: Console, changes: list[Change]) -> None:
    """Say what was done: new and replaced files in numbers, and each that needs the learner's eye."""
    count = {done: sum(change.done is done for change in changes) for done in Done}
    parts = [f"{count[done]} {done.value}" for done in (Done.MADE, Done.UPDATED, Done.KEPT) if count[done]]
    console.print(f"Your copy is in learn: {', '.join(parts) or 'nothing to lay'}.")
    for change in changes:
        if change.done is Done.UPDATED:
            console.print(f" updated {escape(str(change.path))}")
        elif change.done is Done.BESIDE:
            console.print(f" {escape(str(change))}")
