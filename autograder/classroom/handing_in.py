"""A learner's work of one assignment as one zip: what belongs in it, what is missing, what is as handed out.

The zip holds the notebooks, the labs' folders and `workbook.json`, which says what the learner's own checks
found and which hints were read. That file comes from the learner's machine: it is for overviews, never for
points.
"""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from autograder.files import digest, write_atomically
from autograder.handouts import handed_out
from autograder.nbgrading.files import Limits, copy_plain
from autograder.workplace import Results
from labkit.course import Course, Lab
from labkit.errors import WorkbookError

OWN_WORD = "workbook.json"
_FORMAT = 1
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Packed:
    """One assignment's work in one file.

    Attributes:
        path: The zip.
        files: How many files it holds, `workbook.json` not counted.
        bytes: How big it is.
        missing: Files that were handed out and are not there any more, below the assignment's folder.
        untouched: Labs in which every file is as it was handed out.
        left_out: One sentence for each thing that can't be handed in.
    """

    path: Path
    files: int
    bytes: int
    missing: list[str] = field(default_factory=list)
    untouched: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def pack(course: Course, assignment: str, to: Path | None = None, *, limits: Limits | None = None) -> Packed:
    """Write the learner's work of one assignment into one zip; the same work always gives the same bytes.

    Args:
        course: Whose `learn` folder.
        assignment: `week11_serving`, or its short form `week11`.
        to: The zip or the folder that it goes into; `learn/handed_in` by default.
        limits: How much a submission may hold.

    Raises:
        WorkbookError: There is no copy of that assignment, or it holds too much.
    """
    labs = _labs_of(course, assignment)
    name = labs[0].assignment
    work = course.learn / name
    if not work.is_dir():
        raise WorkbookError(
            f"You have no copy of {name}.",
            why=f"There is no folder {work.relative_to(course.root)}.",
            next_step="Make it with `workbook lab --no-open`.",
        )
    content, left_out = _collect(work, labs, limits or Limits())
    missing = sorted(set(_expected(labs)) - set(content))
    path = _target(course, name, to)
    write_atomically(path, _zipped(name, {**content, OWN_WORD: _own_word(name, labs, work)}))
    return Packed(
        path=path,
        files=len(content),
        bytes=path.stat().st_size,
        missing=missing,
        untouched=[lab.id for lab in labs if _untouched(lab, content)],
        left_out=left_out,
    )


def _labs_of(course: Course, assignment: str) -> list[Lab]:
    labs = course.select(assignment)
    if len({lab.assignment for lab in labs}) != 1:
        raise WorkbookError(
            f"{assignment!r} names more than one assignment.",
            next_step=f"Name one: {', '.join(course.assignments)}.",
        )
    return course.assignments[labs[0].assignment]


def _collect(work: Path, labs: list[Lab], limits: Limits) -> tuple[dict[str, bytes], list[str]]:
    """What of the folder belongs to the assignment: its notebooks and its labs' folders."""
    with tempfile.TemporaryDirectory(prefix="workbook-hand-in-") as scratch:
        copied = copy_plain(work, Path(scratch) / "work", limits)
        names = {lab.name for lab in labs}
        content = {
            path.as_posix(): (Path(scratch) / "work" / path).read_bytes()
            for path in copied.files
            if path.parts[0] in names or (path.suffix == ".ipynb" and path.stem in names)
        }
    return content, copied.left_out


def _expected(labs: list[Lab]) -> dict[str, Path | None]:
    """Every file that was handed out, by its path below the assignment's folder."""
    expected: dict[str, Path | None] = {}
    for lab in labs:
        expected[f"{lab.name}.ipynb"] = None
        expected |= {f"{lab.name}/{name}": path for name, path in handed_out(lab).items()}
    return expected


def _untouched(lab: Lab, content: dict[str, bytes]) -> bool:
    """Whether the lab's files are all as they were handed out; a notebook's answers are not looked at."""
    own = {path: data for path, data in content.items() if path.startswith(f"{lab.name}/")}
    handed = {f"{lab.name}/{name}": path for name, path in handed_out(lab).items()}
    return bool(handed) and all(
        path in handed and digest(data) == digest(handed[path].read_bytes()) for path, data in own.items()
    )


def _own_word(assignment: str, labs: list[Lab], work: Path) -> bytes:
    """What the learner's own checks found, for the overview."""
    results = Results.of(work)
    said = {}
    for lab in labs:
        report = results.report(lab)
        said[lab.id] = {
            "points": report.points if report else None,
            "hints": results.hints_seen(lab),
        }
    whole = {"format": _FORMAT, "assignment": assignment, "labs": said}
    return (json.dumps(whole, indent=1, sort_keys=True) + "\n").encode()


def _zipped(assignment: str, content: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(content):
            entry = zipfile.ZipInfo(f"{assignment}/{name}", date_time=_EPOCH)
            entry.external_attr = 0o100644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content[name])
    return buffer.getvalue()


def _target(course: Course, assignment: str, to: Path | None) -> Path:
    if to is None:
        stamp = datetime.now(UTC).strftime("%Y-%m-%d_%H-%M-%S")
        return course.learn / "handed_in" / f"{assignment}_{stamp}.zip"
    return to / f"{assignment}.zip" if to.is_dir() or to.suffix != ".zip" else to
