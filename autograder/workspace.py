"""The learner's copy, `learn/`: made and brought up to date without ever writing over the learner's work.

What was handed out is remembered by its hash, so that a file that the learner changed can be told from one
that they left as it was. The first stays, and a newer handout is laid beside it (`serve.new.py`); the
second is replaced. For a notebook its cells' texts decide, so that having run it is no change; the run one is
set aside before a newer one takes its place.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

import nbformat
from filelock import FileLock, Timeout

from autograder.files import digest, write_atomically
from autograder.handouts import handed_out
from autograder.release import released
from autograder.sources import read_plain
from autograder.workplace import Results
from labkit.course import Course, Lab
from labkit.errors import WorkbookError

START_PAGE = "START_HERE"
_VERSION = 1
_PATIENCE = 30


class Done(StrEnum):
    """What became of one file of the learner's copy."""

    MADE = "made"
    UPDATED = "updated"
    KEPT = "kept"
    BESIDE = "beside"


@dataclass(frozen=True)
class Change:
    """One file of the learner's copy, and what was done with it.

    Attributes:
        path: The file, below `learn/`.
        done: Whether it is new, replaced by a newer handout, as it was, or the learner's own with the
            newer handout beside it.
        beside: Where that newer handout lies, below `learn/`.
    """

    path: Path
    done: Done
    beside: Path | None = None

    def __str__(self) -> str:
        """What to tell the learner."""
        if self.beside is not None:
            return (
                f"{self.path} is yours and stays as it is; the newer handout is {self.beside.name} beside it"
            )
        return f"{self.done.value} {self.path}"


@dataclass(frozen=True)
class Reset:
    """A lab that begins afresh.

    Attributes:
        kept: Where the earlier work lies now; nothing if there was none.
        changes: The files that were laid.
    """

    kept: Path | None
    changes: list[Change]


def make_copy(course: Course, labs: list[Lab] | None = None) -> list[Change]:
    """Make the learner's copy, or bring it up to date.

    Args:
        course: Whose labs; the copy is its `learn` folder.
        labs: Only these; all by default.

    Returns:
        Every file of the labs with what was done, in the course's order.

    Raises:
        WorkbookError: A prepared file is missing (nothing was written then), a folder stands where a file
            belongs, or another process is making the copy.
    """
    planned = _plan(course.labs if labs is None else labs)
    if labs is None:
        planned = _start_page(course) | planned
    with _alone(course):
        return _lay(course, planned)


def reset(course: Course, lab: Lab) -> Reset:
    """Set the learner's version of a lab aside and lay the lab afresh.

    The earlier files and the last results move to `learn/.workbook/kept/<date and time>/`; nothing is
    deleted.

    Raises:
        WorkbookError: A prepared file is missing, or another process is making the copy.
    """
    planned = _plan([lab])
    with _alone(course):
        kept = _new_kept(course)
        folder = course.learn / lab.assignment
        report = Results.of(folder).report_path(lab)
        moved = [
            *(path for path in sorted(folder.glob(f"{lab.name}*")) if _belongs(path, lab)),
            *([report] if report.is_file() else []),
        ]
        for path in moved:
            target = kept / path.relative_to(course.learn)
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)
        laid = _read_manifest(course)
        _write_manifest(course, {path: was for path, was in laid.items() if path not in planned})
        return Reset(kept if moved else None, _lay(course, planned))


# ---- what is laid -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Handout:
    content: bytes
    mode: int


def _plan(labs: list[Lab]) -> dict[str, _Handout]:
    """All that the labs hand out, by its path below `learn/`; it is read before anything is written."""
    planned: dict[str, _Handout] = {}
    for lab in labs:
        text = nbformat.writes(released(lab)).rstrip("\n") + "\n"
        planned[f"{lab.assignment}/{lab.name}.ipynb"] = _Handout(text.encode(), 0o644)
        for name, path in handed_out(lab).items():
            mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
            planned[f"{lab.assignment}/{lab.name}/{name}"] = _Handout(path.read_bytes(), mode)
    return planned


def _start_page(course: Course) -> dict[str, _Handout]:
    """The notebook that a learner begins with, if the course has one."""
    source = course.root / "weeks" / f"{START_PAGE}.md"
    if not source.is_file():
        return {}
    text = nbformat.writes(read_plain(source)).rstrip("\n") + "\n"
    return {f"{START_PAGE}.ipynb": _Handout(text.encode(), 0o644)}


def _lay(course: Course, planned: dict[str, _Handout]) -> list[Change]:
    laid = _read_manifest(course)
    kept = _new_kept(course)
    changes = []
    try:
        for path, handout in planned.items():
            changes.append(_lay_one(course.learn, path, handout, laid.get(path), kept))
            laid[path] = _mark(path, handout.content)
    finally:
        _write_manifest(course, laid)
    return changes


def _lay_one(learn: Path, path: str, handout: _Handout, was: str | None, kept: Path) -> Change:
    target = learn / path
    if target.is_dir():
        raise WorkbookError(
            f"{path} is a folder in your copy.",
            why="A file that is handed out belongs there.",
            next_step=f"Rename {target}, then run this again.",
        )
    if not target.exists():
        write_atomically(target, handout.content, mode=handout.mode)
        return Change(Path(path), Done.MADE)
    content = target.read_bytes()
    theirs, new = _mark(path, content), _mark(path, handout.content)
    if theirs == new or was == new:
        return Change(Path(path), Done.KEPT)
    if theirs == was:
        if path.endswith(".ipynb"):
            write_atomically(kept / path, content)
        write_atomically(target, handout.content, mode=handout.mode)
        return Change(Path(path), Done.UPDATED)
    return Change(Path(path), Done.BESIDE, _lay_beside(target, handout).relative_to(learn))


def _lay_beside(target: Path, handout: _Handout) -> Path:
    """Lay a handout beside the learner's own file, under a name that nothing else has."""
    number = 1
    while True:
        beside = target.with_name(f"{target.stem}.new{number if number > 1 else ''}{target.suffix}")
        if not beside.exists():
            write_atomically(beside, handout.content, mode=handout.mode)
            return beside
        if beside.is_file() and beside.read_bytes() == handout.content:
            return beside
        number += 1


def _mark(path: str, content: bytes) -> str:
    """What tells one version of a file from another: of a notebook, its cells' texts alone."""
    if path.endswith(".ipynb"):
        try:
            cells = json.loads(content)["cells"]
            texts = [[cell["cell_type"], "".join(cell["source"])] for cell in cells]
        except (ValueError, KeyError, TypeError):
            return digest(content)
        return digest(json.dumps(texts).encode())
    return digest(content)


def _belongs(path: Path, lab: Lab) -> bool:
    """Whether this is the lab's folder, its notebook or a newer notebook laid beside that."""
    return path.name == lab.name or (
        path.suffix == ".ipynb" and path.name.split(".")[0] == lab.name and path.is_file()
    )


# ---- what is remembered -----------------------------------------------------------------------------------


def _manifest(course: Course) -> Path:
    return course.learn / ".workbook" / "handouts.json"


def _read_manifest(course: Course) -> dict[str, str]:
    """The mark of each file as it was handed out last; nothing known if it can't be read, which is safe."""
    try:
        said = json.loads(_manifest(course).read_bytes())
        return {str(path): str(mark) for path, mark in said["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _write_manifest(course: Course, laid: dict[str, str]) -> None:
    text = json.dumps({"version": _VERSION, "files": dict(sorted(laid.items()))}, indent=1)
    write_atomically(_manifest(course), f"{text}\n".encode())


def _new_kept(course: Course) -> Path:
    """A folder for what is set aside now; it is not made yet, and nothing else lies there."""
    kept = course.learn / ".workbook" / "kept"
    stamp = datetime.now().astimezone().strftime("%Y-%m-%d_%H-%M-%S")
    number = 1
    while (folder := kept / (stamp if number == 1 else f"{stamp}_{number}")).exists():
        number += 1
    return folder


@contextmanager
def _alone(course: Course) -> Iterator[None]:
    """Hold the copy for ourselves."""
    _manifest(course).parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(_manifest(course).with_suffix(".lock"), timeout=_PATIENCE):
            yield
    except Timeout as error:
        raise WorkbookError(
            "Your copy is being made by another command.",
            why=f"It did not end within {_PATIENCE} s.",
            next_step="Wait for it, then run this again.",
        ) from error
