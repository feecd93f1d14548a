"""Takes over what learners handed in: from folders, from a learning platform's zips, or from the exchange."""

from __future__ import annotations

import tempfile
from datetime import datetime
from pathlib import Path

from autograder.classroom.inbox import Handed, Unusable, read_inbox, unpack
from autograder.classroom.own_word import keep_own_word
from autograder.classroom.roster import known_learners
from autograder.nbgrading.chain import Collected, collect, take_folder
from autograder.nbgrading.scores import open_gradebook, require_assignment
from autograder.nbgrading.settings import Folders
from labkit.course import Course, find_course
from labkit.errors import WorkbookError


def collect_work(assignment: str, source: Path | None = None, *, course: Course | None = None) -> Collected:
    """Take over what learners handed in for an assignment.

    Args:
        assignment: nbgrader's assignment.
        source: A folder that holds `LEARNER/ASSIGNMENT/`, or zips as a learning platform gives them;
            nbgrader's exchange by default.
        course: The course around the current folder by default.

    Raises:
        WorkbookError: The assignment was not released, there is nothing to collect from, or the gradebook
            knows nobody whom a zip could belong to.
    """
    course = course or find_course()
    if source is None or list(source.glob(f"*/{assignment}/")) or not any(source.rglob("*.zip")):
        return collect(assignment, source, course=course)
    folders = Folders.of(course)
    with open_gradebook(folders.gradebook_url) as gradebook:
        require_assignment(gradebook, assignment)
        roster = known_learners(gradebook)
    if not roster:
        raise WorkbookError(
            "The gradebook knows nobody yet.",
            why="A zip is given to a learner by its name, so the names have to be known.",
            next_step="Read your list of learners with `workbook roster FILE.csv`.",
        )
    inbox = read_inbox(source, roster)
    collected = Collected(refused=inbox.refused)
    for handed in inbox.newest:
        _take(handed, assignment, folders, collected)
    for older in inbox.older:
        collected.notes.append(f"{older.learner}: {older.zip.name} was handed in again later; it was left.")
    return collected


def _take(handed: Handed, assignment: str, folders: Folders, collected: Collected) -> None:
    with tempfile.TemporaryDirectory(prefix="workbook-inbox-") as scratch:
        folder = Path(scratch) / handed.learner / assignment
        try:
            left_out = unpack(handed.zip, assignment, folder)
        except Unusable as why:
            collected.refused.append(f"{handed.learner}: {handed.zip.name!a} was left out. {why}")
            return
        # nbgrader's own form; what a learner wrote into a file of that name is nobody's clock.
        (folder / "timestamp.txt").write_text(f"{_in_utc(handed.at)}\n")
        keep_own_word(handed.zip, assignment, folders.own_word(handed.learner, assignment))
        collected.notes += [f"{handed.learner}: {sentence}" for sentence in left_out]
        take_folder(folder, assignment, folders, collected)


def _in_utc(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S.%f} UTC"
