"""Where a learner's work lies, and the results that were kept of it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from filelock import FileLock

from autograder.results import Report
from labkit.course import Course, Lab
from labkit.errors import WorkbookError


def work_folder(course: Course, lab: Lab, start: Path | None = None) -> Path:
    """The folder that holds the lab's folder: the current one or one above it, else `learn/`.

    Raises:
        WorkbookError: Neither holds it.
    """
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / lab.name).is_dir():
            return folder
        if folder == course.root:
            break
    mine = course.learn / lab.assignment
    if mine.is_dir():
        return mine
    raise WorkbookError(
        f"The files of {lab.id} were not found.",
        why=f"There is no folder {lab.name} here, and no copy of yours in learn/{lab.assignment}.",
        next_step="Make your copy with `workbook lab --no-open`, or run this where your files are.",
    )


class Results:
    """The last report of each lab and the hints that were asked for, in one folder as JSON."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def of(cls, work: Path) -> Results:
        """Those of the workbook that this folder of an assignment belongs to."""
        return cls(work.parent / ".workbook" / "results")

    def report(self, lab: Lab) -> Report | None:
        """The last report, if there is a readable one."""
        try:
            return Report.model_validate_json(self.report_path(lab).read_bytes())
        except (OSError, ValueError):
            return None

    def report_path(self, lab: Lab) -> Path:
        """Where the last report of a lab lies."""
        return self._path(lab, "report")

    def keep(self, lab: Lab, report: Report) -> Report:
        """Lay a report over the last one, so that a run of one part keeps the others; gives the whole."""
        with self._lock(lab):
            before = self.report(lab)
            whole = before.updated_by(report) if before else report
            self._write(self.report_path(lab), whole.model_dump(mode="json"))
        return whole

    def hints_seen(self, lab: Lab) -> dict[str, int]:
        """How many hints of each check were shown."""
        try:
            seen = json.loads(self._path(lab, "hints").read_bytes())
            return {str(name): int(count) for name, count in seen.items()}
        except (OSError, ValueError, AttributeError):
            return {}

    def count_hint(self, lab: Lab, check: str) -> None:
        """Remember that one more hint of that check was shown."""
        with self._lock(lab):
            seen = self.hints_seen(lab)
            self._write(self._path(lab, "hints"), {**seen, check: seen.get(check, 0) + 1})

    def _path(self, lab: Lab, kind: str) -> Path:
        return self.folder / f"{lab.id.replace('/', '-')}.{kind}.json"

    def _lock(self, lab: Lab) -> FileLock:
        self.folder.mkdir(parents=True, exist_ok=True)
        return FileLock(self._path(lab, "write").with_suffix(".lock"), timeout=30)

    def _write(self, path: Path, value: dict[str, Any]) -> None:
        fresh = path.with_name(f"{path.name}.{os.getpid()}")
        fresh.write_text(json.dumps(value, indent=1) + "\n")
        fresh.replace(path)


def one_at_a_time(lab: Lab, logs: Path) -> FileLock:
    """The lock that a check of this lab holds while it runs; the second waits for the first."""
    logs.mkdir(parents=True, exist_ok=True)
    return FileLock(logs / f"{lab.id.replace('/', '-')}.lock")
