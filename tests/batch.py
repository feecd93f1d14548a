"""Batches of submissions to the tiny course, and runs of grading killed at moments of a seed's choice."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from tiny_course import ASSIGNMENT, FILES, RUBRIC_FILES, lay_course, use_rubrics

from autograder.nbgrading import release
from autograder.nbgrading.scores import open_gradebook
from autograder.nbgrading.settings import Folders
from labkit.course import Course

ROOT = Path(__file__).parents[1]
GRADE = """
import json, sys
from pathlib import Path
from autograder.nbgrading import grade
from labkit.course import Course

def say(event):
    print(type(event).__name__, flush=True)

summary = grade(sys.argv[1], course=Course(Path(sys.argv[2])), jobs=int(sys.argv[3]), on_event=say)
print(json.dumps({"kept": summary.kept, "own": [e.message for e in summary.own_errors]}))
"""


def lay_batch(root: Path, size: int, *, live: bool = False) -> Course:
    """A released course with that many submissions; each learner's points differ from their neighbours'."""
    course = lay_course(root, labs=(FILES,))
    if live:
        text = RUBRIC_FILES.replace("import after,", "import after, needs,")
        text = text.replace("@points(3)\n", '@needs("quiet machine")\n@points(3)\n')
        (course.root / "rubrics" / ASSIGNMENT / f"test_{FILES}.py").write_text(text)
    with use_rubrics(course):
        release(ASSIGNMENT, course=course)
    for number in range(size):
        hand_in(course, f"learner-{number:03}", "right\n" * (number % 5))
    return course


def hand_in(course: Course, learner: str, text: str) -> Path:
    """Lay one submission where nbgrader collects them to."""
    folders = Folders.of(course)
    target = folders.submitted(learner, ASSIGNMENT)
    shutil.copytree(folders.release(ASSIGNMENT), target, dirs_exist_ok=True)
    (target / FILES / "answer.txt").write_text(text)
    return target


def lines_of(course: Course) -> dict[str, float | None]:
    """What the gradebook gives each learner for `lines`; a learner who is in it twice is an error."""
    found: dict[str, float | None] = {}
    with open_gradebook(Folders.of(course).gradebook_url) as gradebook:
        for submission in gradebook.assignment_submissions(ASSIGNMENT):
            assert submission.student_id not in found
            (notebook,) = submission.notebooks
            scores = {grade.name.rpartition("-")[2]: grade.auto_score for grade in notebook.grades}
            found[submission.student_id] = scores["lines"]
    return found


def journal_of(course: Course) -> list[str]:
    """The learners in the journal, once for each time that an outcome was recorded."""
    path = Folders.of(course).grading / ASSIGNMENT / "journal.jsonl"
    said = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            said.append(json.loads(line)["learner"])
        except ValueError:
            continue
    return said


@dataclass
class Killed:
    """What a series of killed runs came to.

    Attributes:
        kills: How many processes were killed.
        runs: How many runs there were.
        regraded: Learners whose recorded outcome was written again.
        survivors: Processes of killed runs that lived on.
    """

    kills: int = 0
    runs: int = 0
    regraded: list[str] = field(default_factory=list)
    survivors: list[str] = field(default_factory=list)


def grade_and_kill(course: Course, *, kills: int, seed: int, jobs: int = 2) -> Killed:
    """Grade until all is done, in runs of which a process is killed: the main one or any that it started."""
    chance = random.Random(seed)
    result = Killed()
    while True:
        recorded = _stamps(course)
        result.runs += 1
        process = subprocess.Popen(
            [sys.executable, "-c", GRADE, ASSIGNMENT, str(course.root), str(jobs)],
            cwd=course.root,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "WORKBOOK_RUBRICS": str(course.root / "rubrics")},
        )
        assert process.stdout is not None
        seen: set[psutil.Process] = set()
        until = chance.randint(1, 12)
        said = ""
        for number, line in enumerate(process.stdout):
            said = line
            if result.kills < kills and number == until:
                family = psutil.Process(process.pid).children(recursive=True)
                seen |= set(family)
                chosen = chance.choice([process.pid, process.pid, *(child.pid for child in family)])
                result.kills += 1
                until += chance.randint(1, 12)
                try:
                    os.kill(chosen, signal.SIGKILL)
                except ProcessLookupError:
                    continue
        code = process.wait()
        process.stdout.close()
        _, alive = psutil.wait_procs(seen, timeout=20)
        result.survivors += [f"{one} {one.cmdline()}" for one in alive if one.is_running()]
        for one in alive:
            one.kill()
        now = _stamps(course)
        result.regraded += [learner for learner, stamp in recorded.items() if now.get(learner) != stamp]
        if code == 0 and result.kills >= kills:
            assert json.loads(said)["own"] == []
            return result
        assert code in (0, -signal.SIGKILL), said


def _stamps(course: Course) -> dict[str, int]:
    """When the outcome of each learner who is in the journal was written."""
    folders = Folders.of(course)
    return {
        learner: folders.result(learner, ASSIGNMENT).stat().st_mtime_ns for learner in set(journal_of(course))
    }
