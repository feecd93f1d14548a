"""The sample cohort: twelve learners made from the rubrics' answers, from full marks to hostile.

The same course always gives the same cohort, and a new answer or a new lab is in it without a change here.
Demonstrations, benchmarks and tests use it; nobody's real work is in it.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from autograder.answers import BLANK, REFERENCE, Answer, answers_of
from autograder.loading import load_rubric
from autograder.nbgrading.files import replace_folder
from autograder.nbgrading.grading import read_release
from autograder.nbgrading.scores import open_gradebook
from autograder.nbgrading.settings import Folders
from autograder.notebooks import grade_id
from labkit.course import Course, Lab, find_course

DUE = datetime(2026, 1, 12, 23, 0, tzinfo=UTC)
_SIZE = 12
_UNSURE = "I am not sure why; I think that it has to do with the load."
_SOLUTION_MARKERS = ("### BEGIN SOLUTION", "### END SOLUTION")


@dataclass
class Member:
    """One learner of the cohort.

    Attributes:
        learner: The name, `learner-01`.
        about: What kind of learner it is.
        answers: Which answer they hand in, by lab id.
        written: Whether they answer the readings (`well`, `badly`, or not at all).
        solves: Whether their notebook holds the exercises' solutions.
        after: How long after (or before) the due date it was handed in.
        tamper: What they do to their submission besides.
    """

    learner: str
    about: str
    answers: dict[str, Answer] = field(default_factory=dict)
    written: str = ""
    solves: bool = False
    after: timedelta = timedelta(hours=-20)
    tamper: Callable[[Path, list[Lab]], None] | None = None


def make_cohort(labs: list[Lab]) -> list[Member]:
    """The twelve learners of an assignment, not yet written anywhere."""
    answers = {lab.id: answers_of(load_rubric(lab)) for lab in labs}
    blanks = {lab_id: next(a for a in known if a.name == BLANK) for lab_id, known in answers.items()}

    def each(prefix: str, turn: int = 0) -> dict[str, Answer]:
        """For each lab the answer of that kind whose turn it is; the reference where there is none."""
        chosen = {}
        for lab_id, known in answers.items():
            kind = [answer for answer in known if answer.name.startswith(prefix)]
            reference = next(answer for answer in known if answer.name == REFERENCE)
            chosen[lab_id] = kind[turn % len(kind)] if kind else reference
        return chosen

    first = next(iter(answers), "")
    wrong = [
        Member("", f"wrong in the rubric's way {turn + 1}", each("wrong_", turn), "badly", solves=True)
        for turn in range(4)
    ]
    members = [
        Member("", "full marks", each("reference"), "well", solves=True),
        Member("", "full marks, another way", each("right_"), "well", solves=True),
        Member("", "partly done", blanks | {first: each("wrong_", 4)[first]}),
        Member("", "blank", blanks),
        Member("", "late", each("reference"), "well", solves=True, after=timedelta(hours=2, minutes=5)),
        *wrong,
        Member("", "hostile: forges points, checks and outputs", blanks, tamper=_forge),
        Member("", "hostile: deletes check cells, ends the process", each("wrong_", 5), tamper=_delete),
        Member("", "hostile: hands in no notebook, and links", each("wrong_", 6), tamper=_break),
    ]
    for number, member in enumerate(members, start=1):
        member.learner = f"learner-{number:02}"
    assert len(members) == _SIZE
    return members


def lay_cohort(
    assignment: str,
    make: Callable[[list[Lab]], list[Member]] = make_cohort,
    *,
    course: Course | None = None,
    due: datetime = DUE,
) -> list[Member]:
    """Lay the cohort's submissions where nbgrader collects them to, in place of earlier ones of theirs.

    Args:
        assignment: nbgrader's assignment; it has to be released.
        make: Gives the learners of these labs; the twelve of `make_cohort` by default.
        course: The course around the current folder by default.
        due: When it is due; the gradebook is told.

    Raises:
        WorkbookError: The assignment is not released, or a lab has no reference answer.
    """
    course = course or find_course()
    folders = Folders.of(course)
    released = read_release(course, assignment)
    labs = [lab for lab, _ in released.values()]
    members = make(labs)
    with open_gradebook(folders.gradebook_url) as gradebook:
        gradebook.update_or_create_assignment(assignment, duedate=due.astimezone(UTC).replace(tzinfo=None))
        for member in members:
            gradebook.update_or_create_student(member.learner)
    for member in members:
        target = folders.submitted(member.learner, assignment)
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".cohort-") as scratch:
            prepared = Path(scratch) / assignment
            _lay(member, prepared, folders, labs, due)
            replace_folder(prepared, target)
    return members


def _lay(member: Member, target: Path, folders: Folders, labs: list[Lab], due: datetime) -> None:
    assignment = labs[0].assignment
    shutil.copytree(folders.release(assignment), target)
    for lab in labs:
        member.answers[lab.id].lay_over(target / lab.name)
        path = target / f"{lab.name}.ipynb"
        notebook = nbformat.read(path, as_version=4)
        if member.solves:
            _solve(notebook, nbformat.read(folders.source(assignment) / path.name, as_version=4))
        if member.written:
            _write(notebook, lab, well=member.written == "well")
        nbformat.write(notebook, path)
    handed_in = (due + member.after).astimezone(UTC)
    (target / "timestamp.txt").write_text(f"{handed_in:%Y-%m-%d %H:%M:%S.%f} UTC")
    if member.tamper is not None:
        member.tamper(target, labs)


def _solve(notebook: NotebookNode, source: NotebookNode) -> None:
    """Put the solutions of the exercises into a released notebook, in place."""
    solved = {_grade_id(cell): cell.source for cell in source.cells if cell.cell_type == "code"}
    for cell in notebook.cells:
        if cell.cell_type == "code" and cell.metadata.get("nbgrader", {}).get("solution"):
            lines = solved[_grade_id(cell)].splitlines()
            cell.source = "\n".join(line for line in lines if line.strip() not in _SOLUTION_MARKERS)


def _write(notebook: NotebookNode, lab: Lab, *, well: bool) -> None:
    """Answer the readings, in place; a good answer says what the rubric's criteria ask for."""
    texts = {
        grade_id(lab, reading.name): " ".join(f"It {text}." for _, text in reading.criteria)
        for reading in load_rubric(lab).readings
    }
    for cell in notebook.cells:
        if _grade_id(cell) in texts:
            cell.source = texts[_grade_id(cell)] if well else _UNSURE


def _grade_id(cell: NotebookNode) -> str:
    name: str = cell.metadata.get("nbgrader", {}).get("grade_id", "")
    return name


# ---- hostile ----------------------------------------------------------------------------------------------

_FORGED = """import sys
import types

fake = types.ModuleType("autograder")
fake.check = lambda *names: 1000.0
sys.modules["autograder"] = fake
check = fake.check
print("passed 100/100")
check("everything")"""


def _forge(target: Path, labs: list[Lab]) -> None:
    """Redefine the checks, raise the points, and put a forged table with a script into the outputs."""
    for path, notebook in _notebooks(target, labs):
        notebook.cells.insert(0, nbformat.v4.new_code_cell(_FORGED, id="forged"))
        for cell in notebook.cells:
            if cell.metadata.get("nbgrader", {}).get("grade") and cell.cell_type == "code":
                cell.source = "1000.0"
                cell.metadata.nbgrader["points"] = 1000
                forged = {"text/html": "<script>alert('forged')</script>full marks", "text/plain": "1000.0"}
                cell.outputs = [nbformat.v4.new_output("execute_result", data=forged, execution_count=1)]
        nbformat.write(notebook, path)
    for lab in labs:
        (target / lab.name).mkdir(exist_ok=True)
        (target / lab.name / "conftest.py").write_text("import os\n\nos._exit(0)\n")


def _delete(target: Path, labs: list[Lab]) -> None:
    """Delete each second check cell, change the others, and end the process."""
    for path, notebook in _notebooks(target, labs):
        checks = [cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade")]
        deleted = [id(cell) for cell in checks[::2]]
        notebook.cells = [cell for cell in notebook.cells if id(cell) not in deleted]
        notebook.cells.append(nbformat.v4.new_code_cell("import os\n\nos._exit(0)", id="the-end"))
        nbformat.write(notebook, path)


def _break(target: Path, labs: list[Lab]) -> None:
    """Hand in no JSON for the first notebook, one notebook too many, and links out of the folder."""
    first = target / f"{labs[0].name}.ipynb"
    first.write_text(json.dumps({"cells": []})[:-1])
    nbformat.write(nbformat.v4.new_notebook(), target / "99_one_too_many.ipynb")
    (target / "link_out").symlink_to("/etc/passwd")
    (target / "link_up").symlink_to("..", target_is_directory=True)


def _notebooks(target: Path, labs: list[Lab]) -> list[tuple[Path, NotebookNode]]:
    paths = [target / f"{lab.name}.ipynb" for lab in labs]
    return [(path, nbformat.read(path, as_version=4)) for path in paths]
