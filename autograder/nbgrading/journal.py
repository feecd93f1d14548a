"""What a run of grading has done so far, on disk: killed at any moment, the next run goes on from there.

For each submission there are two marks, in this order. What a worker found lies in the spool as a whole
folder (`spool/LEARNER/static` after the static checks if live ones follow, `spool/LEARNER/done` at the end).
Once it stands in the gradebook, the journal has a line that says so, and the spool's folder goes. Whatever
lies in between is done again by the next run and gives the same: writing scores twice changes nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from autograder.files import write_atomically
from autograder.nbgrading.records import OwnError, SubmissionRecord
from labkit.errors import WorkbookError

_SCRATCH_PREFIX = "workbook-grade-"


@dataclass(frozen=True)
class Found:
    """What a worker found of one submission.

    Attributes:
        key: Of what it was judged, and by what.
        record: The outcome.
        own_errors: What went wrong on our side.
        folder: Its place in the spool; `kept` in it is what goes into `autograded`.
    """

    key: str
    record: SubmissionRecord
    own_errors: list[OwnError]
    folder: Path

    def write(self) -> None:
        """Write it beside `kept`."""
        said = {
            "key": self.key,
            "record": self.record.model_dump(mode="json"),
            "own_errors": [error.model_dump() for error in self.own_errors],
        }
        (self.folder / "found.json").write_text(json.dumps(said))

    @classmethod
    def read(cls, folder: Path) -> Found | None:
        """Read it; None if there is none that this version wrote."""
        try:
            said: dict[str, Any] = json.loads((folder / "found.json").read_bytes())
            return cls(
                key=said["key"],
                record=SubmissionRecord.model_validate(said["record"]),
                own_errors=[OwnError.model_validate(error) for error in said["own_errors"]],
                folder=folder,
            )
        except (OSError, ValueError, KeyError):
            return None


class Journal:
    """The journal and the spool of one assignment.

    Args:
        folder: Where both lie.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spool = folder / "spool"
        self.path = folder / "journal.jsonl"
        self.spool.mkdir(parents=True, exist_ok=True)
        self._recorded = dict(_read(self.path))

    def recorded(self, learner: str) -> str:
        """The key of what stands in the gradebook for a learner; empty if nothing does."""
        return self._recorded.get(learner, "")

    def found(self, learner: str, part: str, key: str) -> Found | None:
        """What lies in the spool for a learner, if it is of that key."""
        found = Found.read(self.spool / learner / part)
        return found if found is not None and found.key == key else None

    def mark_recorded(self, learner: str, key: str, status: str) -> None:
        """Note that the gradebook holds the outcome, and empty the learner's spool.

        An empty key notes that it is to be graded anew by the next run.
        """
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"at": now, "learner": learner, "key": key, "status": status}) + "\n"
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            size = os.fstat(handle).st_size
            if size and os.pread(handle, 1, size - 1) != b"\n":  # an earlier run ended within a line
                line = f"\n{line}"
            os.write(handle, line.encode())
            os.fsync(handle)
        finally:
            os.close(handle)
        self._recorded[learner] = key
        self.drop(learner)

    def drop(self, learner: str) -> None:
        """Empty a learner's spool."""
        shutil.rmtree(self.spool / learner, ignore_errors=True)


def _read(path: Path) -> Iterator[tuple[str, str]]:
    """The learners and keys of a journal; a line that was cut off says nothing."""
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        try:
            said = json.loads(line)
            yield said["learner"], said["key"]
        except (ValueError, KeyError, TypeError):
            continue


@contextmanager
def one_run_at_a_time(folder: Path) -> Iterator[Path]:
    """The right to grade in this course, and a folder for what is in the making, gone afterwards.

    What a killed run left in its own such folder goes first.

    Raises:
        WorkbookError: Another run is at it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise WorkbookError(
            "Another run of grading is at work in this course.",
            next_step="Wait until it is done, or end it; then run the command again.",
        ) from None
    try:
        _remove_left_over(folder / "scratch")
        scratch = Path(tempfile.mkdtemp(prefix=_SCRATCH_PREFIX))
        try:
            write_atomically(folder / "scratch", str(scratch).encode())
            yield scratch
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
            (folder / "scratch").unlink(missing_ok=True)
    finally:
        lock.release()


def _remove_left_over(note: Path) -> None:
    try:
        left = Path(note.read_text())
    except (OSError, ValueError):
        return
    ours = left.name.startswith(_SCRATCH_PREFIX) and left.is_dir() and not left.is_symlink()
    if ours and left.stat().st_uid == os.getuid():
        shutil.rmtree(left, ignore_errors=True)
