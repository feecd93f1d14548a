"""The roster: who is in the cohort, from a CSV file into nbgrader's gradebook."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from pathlib import Path

from nbgrader.api import Gradebook

from autograder.nbgrading.files import LEARNER_NAME
from labkit.errors import WorkbookError

ID_COLUMNS = ("id", "learner", "username", "student_id")
OTHER_COLUMNS = ("first_name", "last_name", "email")


@dataclass(frozen=True)
class Learner:
    """One line of the roster; `id` is also the name of the learner's folder."""

    id: str
    first_name: str = ""
    last_name: str = ""
    email: str = ""


@dataclass
class Enrolled:
    """What became of a roster: who is new, whose entry changed, and whom only the gradebook knows."""

    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    not_listed: list[str] = field(default_factory=list)


def read_roster(path: Path) -> list[Learner]:
    """Read a roster.

    The first line names the columns: `id` (or learner, username, student_id), and where known `first_name`,
    `last_name`, `email`; others are not looked at. UTF-8, separated by commas, semicolons or tabs.

    Raises:
        WorkbookError: It can't be read, a column is missing, an id can't be one or stands there twice;
            the message names the lines, and nothing was taken.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise WorkbookError(
            f"The roster {path} can't be read.", why=f"{error.strerror}.", next_step="Name a CSV file."
        ) from error
    except UnicodeDecodeError as error:
        raise WorkbookError(
            f"The roster {path.name} is not in UTF-8.",
            why=f"The byte at place {error.start} is not of that encoding.",
            next_step="Save it as “CSV UTF-8” and try again.",
        ) from error
    rows = csv.DictReader(io.StringIO(text, newline=""), dialect=_dialect(text))
    columns = {str(name).strip().casefold().replace(" ", "_"): str(name) for name in rows.fieldnames or ()}
    id_column = next((columns[name] for name in ID_COLUMNS if name in columns), None)
    if id_column is None:
        raise WorkbookError(
            f"The roster {path.name} has no column id.",
            why=f"Its first line names: {', '.join(columns) or 'nothing'}.",
            next_step="Name the column that holds the learners' ids “id” in the first line.",
        )
    learners: list[Learner] = []
    lines: dict[str, int] = {}
    wrong: list[str] = []
    for row in rows:
        learner_id = (row.get(id_column) or "").strip()
        if not any((value or "").strip() for value in row.values() if isinstance(value, str)):
            continue
        if not LEARNER_NAME.fullmatch(learner_id):
            wrong.append(f"line {rows.line_num}: {learner_id!a} can't be an id")
        elif learner_id in lines:
            wrong.append(f"line {rows.line_num}: {learner_id} stands in line {lines[learner_id]} already")
        else:
            lines[learner_id] = rows.line_num
            others = {name: (row.get(columns.get(name, "")) or "").strip() for name in OTHER_COLUMNS}
            learners.append(Learner(learner_id, **others))
    if wrong:
        raise WorkbookError(
            f"The roster {path.name} was not taken: {'; '.join(wrong[:5])}"
            + (f", and {len(wrong) - 5} more." if len(wrong) > 5 else "."),
            why="An id names a folder: letters, digits and @ . _ + - alone, and each only once.",
            next_step="Correct these lines, then run the command again.",
        )
    if not learners:
        raise WorkbookError(
            f"The roster {path.name} names nobody.", next_step="Write one learner a line below the first."
        )
    return learners


def enrol(gradebook: Gradebook, learners: list[Learner]) -> Enrolled:
    """Bring the gradebook's list of learners up to the roster; nobody is removed from it."""
    enrolled = Enrolled()
    known = {student.id: student for student in gradebook.students}
    for learner in learners:
        entry = {name: getattr(learner, name) or None for name in OTHER_COLUMNS}
        student = known.get(learner.id)
        if student is None:
            enrolled.added.append(learner.id)
        elif any(value and getattr(student, name) != value for name, value in entry.items()):
            enrolled.changed.append(learner.id)
        else:
            enrolled.unchanged.append(learner.id)
            continue
        gradebook.update_or_create_student(learner.id, **{k: v for k, v in entry.items() if v})
    listed = {learner.id for learner in learners}
    enrolled.not_listed = sorted(str(student_id) for student_id in known if student_id not in listed)
    return enrolled


def known_learners(gradebook: Gradebook) -> list[Learner]:
    """Everyone whom the gradebook knows."""
    return [
        Learner(str(s.id), str(s.first_name or ""), str(s.last_name or ""), str(s.email or ""))
        for s in gradebook.students
    ]


def _dialect(text: str) -> type[csv.Dialect] | csv.Dialect:
    """How the columns are separated: as the first line says."""
    first = text.split("\n", 1)[0]
    excel = csv.get_dialect("excel")
    separator = max(",;\t", key=first.count)

    class Roster(csv.excel):
        delimiter = separator

    return Roster if separator != excel.delimiter else csv.excel
