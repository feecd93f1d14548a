"""The `workbook` that a wheel brings: it lays the course into a folder and hands each command on to it there.

A wheel holds this module and the learners' package, nothing else: the course has an environment of its own,
pinned to the hash, which it makes itself. So this runs on the standard library alone, and imports nothing of
the workbook.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE = Path(__file__).with_name("course.zip")
MARK = ".workbook-package"
"""The file of a course that says which package it was laid from."""
USAGE = """\
workbook start FOLDER    lay the course into a new folder and set it up (minutes, once)
workbook COMMAND ...     in that folder: what the course's own workbook does, `workbook lab` first of all"""
_FAILED = 2
_INTERRUPTED = 130


class Refused(Exception):
    """Something that the person can be told in one to three lines: what happened, why, what to do next."""


def main() -> None:
    """Run the command line; within a course this process becomes the course's own `workbook`."""
    arguments = sys.argv[1:]
    try:
        if arguments[:1] == ["start"]:
            if len(arguments) != len(["start", "FOLDER"]) or arguments[1].startswith("-"):
                raise Refused(f"Say which folder to lay the course into.\n{USAGE}")
            start(Path(arguments[1]))
        elif (course := find_course(Path.cwd())) is not None:
            set_up(course)
            program = str(_programs(course) / "workbook")
            os.execv(program, [program, *arguments])  # noqa: S606
        elif arguments and arguments not in (["-h"], ["--help"]):
            raise Refused(
                f"{Path.cwd()} is not inside a course.\nChange to the folder of yours, or make one:\n{USAGE}"
            )
        else:
            print(USAGE)
    except Refused as error:
        print(error, file=sys.stderr)
        sys.exit(_FAILED)
    except KeyboardInterrupt:
        print("Interrupted. The same command goes on from where it was.", file=sys.stderr)
        sys.exit(_INTERRUPTED)


def start(folder: Path, package: Path = PACKAGE) -> None:
    """Lay the course and set it up; what an earlier start laid is only set up further.

    Args:
        folder: Where to; it is made, and nothing in it is overwritten.
        package: The learners' package, a zip with one folder.

    Raises:
        Refused: The folder holds something else, or the set-up failed.
    """
    folder = folder.absolute()
    mark = folder / MARK
    if not mark.is_file() or mark.read_text() != _digest(package):
        lay(folder, package)
        print(f"The course is in {folder}.", flush=True)
    set_up(folder)
    _run(folder, [str(_programs(folder) / "python"), "-m", "labkit.models"])
    print(f"Ready. Open it with:\n  cd {folder}\n  workbook lab")


def lay(folder: Path, package: Path) -> None:
    """Unpack the package: the folder is there whole, or not at all.

    Raises:
        Refused: Something is there already, or the folder can't be written.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise Refused(
            f"{folder} is not empty.\nNothing of yours is overwritten: name a new folder. To go on with work "
            "of another one, copy its `learn` folder into the new one."
        )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".workbook-", dir=folder.parent) as scratch:
            with zipfile.ZipFile(package) as archive:
                archive.extractall(scratch)
            (tree,) = Path(scratch).iterdir()
            (tree / MARK).write_text(_digest(package))
            tree.rename(folder)
    except zipfile.BadZipFile as error:
        raise Refused(f"The package {package.name} is broken: {error}.\nInstall the wheel again.") from error
    except OSError as error:
        raise Refused(
            f"The course could not be laid into {folder}: {error.strerror}.\n"
            "Name a folder that you can write."
        ) from error


def set_up(course: Path) -> None:
    """Make the course's environment; done already, this takes milliseconds.

    Raises:
        Refused: It could not be made; what there was to say was printed.
    """
    _run(course, [sys.executable, "-m", "labkit.environments", "core"])


def find_course(start: Path) -> Path | None:
    """The course that a folder lies in."""
    for folder in (start, *start.parents):
        if (folder / "weeks").is_dir() and (folder / "labkit" / "environments").is_dir():
            return folder
    return None


def _digest(package: Path) -> str:
    return hashlib.sha256(package.read_bytes()).hexdigest()


def _programs(course: Path) -> Path:
    return course / ".venv" / "bin"


def _run(course: Path, command: list[str]) -> None:
    ended = subprocess.run(command, cwd=course, stdin=subprocess.DEVNULL, check=False).returncode
    if ended:
        raise Refused("The course is not set up yet.\nSee above; then run the same command again.")
