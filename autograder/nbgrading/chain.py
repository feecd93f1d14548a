"""What stands before and behind grading: release, collect, feedback and export."""

from __future__ import annotations

import csv
import io
import re
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from autograder.nbgrading.exchange import LEFT_OUT
from autograder.nbgrading.files import LEARNER_NAME, copy_plain, replace_folder
from autograder.nbgrading.records import SubmissionRecord
from autograder.nbgrading.scores import open_gradebook, require_assignment
from autograder.nbgrading.settings import Folders, lay_config, nbgrader_api
from labkit.course import Course, find_course
from labkit.errors import WorkbookError

COLUMNS = (
    *("learner", "lab", "status", "check_points", "check_maximum", "written_points", "written_maximum"),
    *("late_penalty", "total", "maximum", "needs_manual_grade", "late_seconds", "reason"),
)


def release(assignment: str, *, course: Course | None = None, due: datetime | None = None) -> Path:
    """Make the learners' version of an assignment and tell the gradebook of it.

    Args:
        assignment: nbgrader's assignment; `make notebooks` laid its source.
        course: The course around the current folder by default.
        due: When it is due; by default what the gradebook says already.

    Returns:
        The release folder.

    Raises:
        WorkbookError: There is no source, or nbgrader refuses.
    """
    course = course or find_course()
    folders = Folders.of(course)
    if not list(folders.source(assignment).glob("*.ipynb")):
        raise WorkbookError(
            f"There is no source of {assignment}.",
            why=f"No notebook lies in build/nbgrader/source/{assignment}.",
            next_step="Run make notebooks, then release it again.",
        )
    lay_config(course)
    _require(nbgrader_api(course).generate_assignment(assignment), f"{assignment} could not be released.")
    if due is not None:
        with open_gradebook(folders.gradebook_url) as gradebook:
            naive = due.astimezone(UTC).replace(tzinfo=None)
            gradebook.update_or_create_assignment(assignment, duedate=naive)
    return folders.release(assignment)


def _require(result: dict[str, Any], what: str) -> None:
    """See that nbgrader did it.

    Raises:
        WorkbookError: It did not; what it logged says why.
    """
    if result["success"]:
        return
    log = result.get("log", "")
    if "submissions associated with it" in log:
        raise WorkbookError(
            what,
            why="Its cells have changed, and there are submissions of the old ones.",
            next_step="Keep the old version for this term, or remove its submissions in formgrader first.",
        )
    raised = re.findall(r"^\s+([\w.]+(?:Error|Exception|Entry)\b.*)$", log, re.MULTILINE)
    why = raised[0] if raised else result.get("error", "").strip().rpartition("\n")[2]
    raise WorkbookError(what, why=f"nbgrader said: {why}", next_step="`nbgrader --debug` says more.")


# ---- collect ---------------------------------------------------------------------------------------------


@dataclass
class Collected:
    """What was taken over.

    Attributes:
        taken: Learners whose work is new or newer.
        unchanged: Learners whose work lay there already.
        refused: One sentence for each folder or zip that could not be taken.
        notes: One sentence for each thing that is worth knowing of work that was taken.
    """

    taken: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def collect(assignment: str, source: Path | None = None, *, course: Course | None = None) -> Collected:
    """Take over what learners handed in.

    Args:
        assignment: nbgrader's assignment.
        source: A folder that holds `LEARNER/ASSIGNMENT/`; nbgrader's exchange by default.
        course: The course around the current folder by default.

    Raises:
        WorkbookError: The assignment was not released, or there is nothing to collect from.
    """
    course = course or find_course()
    folders = Folders.of(course)
    with open_gradebook(folders.gradebook_url) as gradebook:
        require_assignment(gradebook, assignment)
    if source is None:
        return _collect_from_exchange(assignment, course)
    if not source.is_dir():
        raise WorkbookError(
            f"There is no folder {source}.", next_step="Name one that holds LEARNER/ASSIGNMENT."
        )
    found = sorted(path for path in source.glob(f"*/{assignment}") if path.is_dir() and not path.is_symlink())
    if not found:
        raise WorkbookError(
            f"Nothing was handed in for {assignment}.",
            why=f"{source} holds no LEARNER/{assignment} folder.",
            next_step="Check the folder's name.",
        )
    collected = Collected()
    for folder in found:
        take_folder(folder, assignment, folders, collected)
    return collected


def take_folder(folder: Path, assignment: str, folders: Folders, collected: Collected) -> None:
    """Take over one `LEARNER/ASSIGNMENT/` folder; `collected` says afterwards what became of it."""
    learner = folder.parent.name
    if not LEARNER_NAME.fullmatch(learner):
        collected.refused.append(f"The folder {learner!a} was left out: that can't be a learner's name.")
        return
    target = folders.submitted(learner, assignment)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".collect-") as scratch:
        prepared = Path(scratch) / assignment
        try:
            copied = copy_plain(folder, prepared)
        except WorkbookError as error:
            collected.refused.append(f"{learner}: {error}")
            return
        collected.refused += [f"{learner}: {sentence}" for sentence in copied.left_out]
        if target.is_dir() and _contents(prepared) == _contents(target):
            collected.unchanged.append(learner)
            return
        replace_folder(prepared, target)
        collected.taken.append(learner)


def _contents(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _collect_from_exchange(assignment: str, course: Course) -> Collected:
    api = nbgrader_api(course)
    if not api.exchange_is_functional:
        raise WorkbookError(
            "There is no exchange to collect from.",
            why=f"{api.exchange_root} is not there or can't be written to.",
            next_step=f"workbook collect {assignment} --from FOLDER takes FOLDER/LEARNER/{assignment}.",
        )
    folders = Folders.of(course)
    pattern = f"*/{assignment}"

    def present() -> dict[str, str]:
        return {
            path.parent.name: (path / "timestamp.txt").read_text()
            if (path / "timestamp.txt").is_file()
            else ""
            for path in sorted((folders.root / "submitted").glob(pattern))
        }

    before = present()
    result = api.collect(assignment)
    _require(result, f"{assignment} could not be collected.")
    after = present()
    taken = [learner for learner in after if before.get(learner) != after[learner]]
    refused = [line.partition(LEFT_OUT)[2] for line in result.get("log", "").splitlines() if LEFT_OUT in line]
    return Collected(taken, [learner for learner in after if learner not in taken], refused)


# ---- feedback and export ---------------------------------------------------------------------------------


def feedback(assignment: str, *, course: Course | None = None) -> list[Path]:
    """Make the pages that go back to learners, for all that was graded; gives them.

    Raises:
        WorkbookError: Nothing was graded, or nbgrader can't make a page.
    """
    course = course or find_course()
    folders = Folders.of(course)
    if not list((folders.root / "autograded").glob(f"*/{assignment}/*.ipynb")):
        raise WorkbookError(
            f"Nothing of {assignment} was graded yet.", next_step=f"Run workbook grade {assignment} first."
        )
    _require(
        nbgrader_api(course).generate_feedback(assignment), f"The feedback of {assignment} was not made."
    )
    return sorted((folders.root / "feedback").glob(f"*/{assignment}/*.html"))


def export(assignment: str, *, course: Course | None = None, to: Path | None = None) -> Path:
    """Write one line for each learner and lab as CSV: points, total, status and reason.

    Everyone whom the gradebook knows has lines, also those who handed in nothing. A total with
    `needs_manual_grade` still waits for a person.

    Raises:
        WorkbookError: The assignment was not released, or a record can't be read.
    """
    course = course or find_course()
    folders = Folders.of(course)
    rows: list[dict[str, Any]] = []
    with open_gradebook(folders.gradebook_url) as gradebook:
        require_assignment(gradebook, assignment)
        notebooks = sorted(gradebook.find_assignment(assignment).notebooks, key=lambda found: str(found.name))
        scores = {
            (submission.student.id, notebook.name): notebook
            for submission in gradebook.assignment_submissions(assignment)
            for notebook in submission.notebooks
        }
        for learner in sorted(str(student.id) for student in gradebook.students):
            record = SubmissionRecord.read(folders.result(learner, assignment))
            for notebook in notebooks:
                rows.append(_row(learner, notebook, scores.get((learner, notebook.name)), record))
    path = to or folders.exports / f"{assignment}.csv"
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.getvalue(), encoding="utf-8", newline="")
    return path


def _row(learner: str, notebook: Any, scored: Any, record: SubmissionRecord | None) -> dict[str, Any]:
    lab = next((lab for lab in record.labs if lab.notebook == notebook.name), None) if record else None
    penalty = (scored.late_submission_penalty or 0.0) if scored else 0.0
    problems = [*record.problems, *lab.problems] if record and lab else []
    return {
        "learner": _as_text(learner),
        "lab": lab.lab if lab else notebook.name,
        "status": record.status.value if record else "not graded",
        "check_points": f"{scored.code_score if scored else 0.0:g}",
        "check_maximum": f"{notebook.max_code_score:g}",
        "written_points": f"{scored.written_score if scored else 0.0:g}",
        "written_maximum": f"{notebook.max_written_score:g}",
        "late_penalty": f"{penalty:g}",
        "total": f"{(scored.score if scored else 0.0) - penalty:g}",
        "maximum": f"{notebook.max_score:g}",
        "needs_manual_grade": "yes" if scored is not None and scored.needs_manual_grade else "no",
        "late_seconds": f"{record.late_seconds:g}" if record else "",
        "reason": _as_text(" ".join(problem.reason for problem in problems)),
    }


def _as_text(value: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{value}" if value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
