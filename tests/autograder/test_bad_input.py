"""What no submission, no disk and no gradebook may do to grading: each ends in a clear status or error."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from batch import hand_in, lay_batch, lines_of
from tiny_course import ASSIGNMENT, CELLS, FILES, lay_course, use_rubrics

from autograder.nbgrading import Settings, Status, grade, release
from autograder.nbgrading.files import fingerprint
from autograder.nbgrading.grading import Done, read_release
from autograder.nbgrading.job import Job
from autograder.nbgrading.preparing import Phase, Preparation
from autograder.nbgrading.settings import Folders
from labkit.course import Course
from labkit.errors import WorkbookError

RIGHT = "right\n" * 4
HUGE = {
    "a notebook of 60 MB": lambda path: path.write_bytes(b" " * 60_000_000 + path.read_bytes()),
    "outputs of 100 MB": lambda path: path.write_text(
        path.read_text().replace('"outputs": []', '"outputs": ["' + "x" * 100_000_000 + '"]', 1)
    ),
}
ODD: dict[str, tuple[Callable[[Path], object], str]] = {
    "an empty notebook": (lambda path: path.write_bytes(b""), "it is not JSON"),
    "nothing but brackets": (lambda path: path.write_text("[" * 100_000), "it is nested too deep"),
    "a list": (lambda path: path.write_text("[]"), "it is not a notebook"),
    "no text": (lambda path: path.write_bytes(b"\xff\xfe\x00"), "it is not JSON"),
    "version 5": (lambda path: path.write_text('{"nbformat": 5, "cells": []}'), "the notebook format 5"),
    "cells that are none": (
        lambda path: path.write_text('{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [7]}'),
        "it is not a whole notebook",
    ),
    **{name: (do, "it is bigger than 20 MB") for name, do in HUGE.items()},
}


@pytest.fixture
def course(tmp_path: Path) -> Course:
    return lay_batch(tmp_path / "course", 2)


def test_odd_notebooks_are_invalid_and_their_files_are_judged(course: Course) -> None:
    for number, (do, _) in enumerate(ODD.values()):
        do(hand_in(course, f"odd-{number}", RIGHT) / f"{FILES}.ipynb")
    with use_rubrics(course):
        summary = grade(ASSIGNMENT, course=course, jobs=2)
    assert summary.own_errors == []
    found = {record.learner: record for record in summary.records}
    for number, (_, why) in enumerate(ODD.values()):
        record = found[f"odd-{number}"]
        assert record.status is Status.INVALID
        assert why in record.reason
        assert lines_of(course)[f"odd-{number}"] == 4.0
    assert lines_of(course)["learner-001"] == 1.0


def test_names_that_cant_be_shown_are_left_out(course: Course) -> None:
    folder = hand_in(course, "newlines", RIGHT)
    (folder / FILES / "two\nlines.txt").write_text("here")
    (folder / "\x1b[2J.ipynb").write_text("{}")
    os.mkfifo(folder / "waits-for-ever")
    with use_rubrics(course):
        (record,) = grade(ASSIGNMENT, ["newlines"], course=course).records
    assert record.status is Status.GRADED
    assert sorted(record.remarks) == [
        "'01_four_lines/two\\nlines.txt' was left out: its name can't be shown.",
        "'\\x1b[2J.ipynb' was left out: its name can't be shown.",
        "waits-for-ever was left out: it is not a plain file.",
    ]


def test_100_mb_printed_are_cut_off(tmp_path: Path) -> None:
    course = lay_course(tmp_path)
    folders = Folders.of(course)
    with use_rubrics(course):
        release(ASSIGNMENT, course=course)
        folder = folders.submitted("ada", ASSIGNMENT)
        shutil.copytree(folders.release(ASSIGNMENT), folder)
        notebook = folder / f"{CELLS}.ipynb"
        printing = "for _ in range(100): print('x' * 1_000_000)"
        notebook.write_text(notebook.read_text().replace('"from pathlib', f'"{printing}\\n",\n"from pathlib'))
        (record,) = grade(ASSIGNMENT, course=course).records
    assert record.status is Status.GRADED
    shown = folders.autograded("ada", ASSIGNMENT) / f"{CELLS}.ipynb"
    assert shown.stat().st_size < 3_000_000
    assert any(said in shown.read_text() for said in ("the rest was dropped", "the rest was left out"))


@contextmanager
def as_nobody() -> Iterator[None]:
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_file_that_may_not_be_read_is_invalid_and_named(course: Course) -> None:
    job = Job(ASSIGNMENT, read_release(course, ASSIGNMENT), Settings())
    with tempfile.TemporaryDirectory() as public:
        Path(public).chmod(0o777)
        source, place = Path(public) / "closed", Path(public) / "place"
        shutil.copytree(hand_in(course, "closed", RIGHT), source)
        (source / FILES / "answer.txt").chmod(0)
        with as_nobody():
            place.mkdir()
            assert fingerprint(source)
            problems, _ = Preparation(job, "closed", place, lambda phase: None).take_over(source)
    (problem,) = problems
    assert problem.status is Status.INVALID
    assert "answer.txt can't be read" in problem.message


# ---- the gradebook ---------------------------------------------------------------------------------------


@contextmanager
def locked(course: Course) -> Iterator[None]:
    with closing(sqlite3.connect(Folders.of(course).root / "gradebook.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield


def test_a_locked_gradebook_is_said_and_nothing_judged_is_lost(course: Course) -> None:
    judged: list[str] = []
    with use_rubrics(course):
        with locked(course), pytest.raises(WorkbookError, match="in use by another program"):
            grade(ASSIGNMENT, course=course)

        lock = locked(course)

        def lock_later(event: object) -> None:
            if isinstance(event, Phase) and event.phase == "judge static":
                if not judged:
                    lock.__enter__()
                judged.append(event.learner)

        try:
            with pytest.raises(WorkbookError, match="in use by another program"):
                grade(ASSIGNMENT, course=course, on_event=lock_later)
        finally:
            lock.__exit__(None, None, None)
        assert judged[0] == "learner-000"
        before = list(judged)
        judged.clear()

        def note(event: object) -> None:
            if isinstance(event, Phase) and event.phase == "judge static":
                judged.append(event.learner)

        summary = grade(ASSIGNMENT, course=course, on_event=note)
    assert "learner-000" in before
    assert "learner-000" not in judged
    assert [record.status for record in summary.records] == [Status.GRADED] * 2
    assert lines_of(course) == {"learner-000": 0.0, "learner-001": 1.0}


def test_a_gradebook_of_another_version_is_left_as_it_is(course: Course) -> None:
    path = Folders.of(course).root / "gradebook.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '0123456789ab'")
    before = path.read_bytes()
    with use_rubrics(course), pytest.raises(WorkbookError, match="of another version") as raised:
        grade(ASSIGNMENT, course=course)
    assert "0123456789ab" in raised.value.why
    assert path.read_bytes() == before


# ---- the disk --------------------------------------------------------------------------------------------

FILL = """
import sys
from pathlib import Path
from autograder.nbgrading import grade
from autograder.nbgrading.grading import Done
from labkit.course import Course
from labkit.errors import WorkbookError

course, filler = Course(Path(sys.argv[1])), Path(sys.argv[2])

def fill(event):
    if isinstance(event, Done) and event.done == 1:
        with filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass

try:
    grade(sys.argv[3], course=course, on_event=fill)
    print("graded all")
except WorkbookError as error:
    print(error)
"""


@contextmanager
def small_disk(place: Path, options: str) -> Iterator[None]:
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk: run the tests as root")
    place.mkdir(parents=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"this machine lets nobody mount: {mounted.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", place], check=True)


def test_a_full_disk_stops_grading_and_the_next_run_goes_on(tmp_path: Path) -> None:
    root = tmp_path / "course"
    with small_disk(root, "size=4m"):
        course = lay_batch(root / "here", 3)
        filler = root / "filler"
        command = [sys.executable, "-c", FILL, str(course.root), str(filler), ASSIGNMENT]
        environment = {
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "WORKBOOK_RUBRICS": str(course.root / "rubrics"),
        }
        said = subprocess.run(command, cwd=course.root, env=environment, capture_output=True, text=True)
        assert "Grading was stopped: the disk is full." in said.stdout or "can't be written" in said.stdout
        assert "run the " in said.stdout
        assert "Traceback" not in said.stdout
        filler.unlink()
        with use_rubrics(course):
            summary = grade(ASSIGNMENT, course=course)
        assert len(summary.kept) >= 1
        assert lines_of(course) == {f"learner-00{number}": float(number) for number in range(3)}


def test_a_read_only_disk_is_said(tmp_path: Path) -> None:
    root = tmp_path / "course"
    with small_disk(root, "size=8m"):
        course = lay_batch(root / "here", 1)
        subprocess.run(["mount", "-o", "remount,ro", root], check=True)
        with use_rubrics(course), pytest.raises(WorkbookError, match="can't be written to"):
            grade(ASSIGNMENT, course=course)


def test_done_is_said_once_for_each(course: Course) -> None:
    events: list[object] = []
    with use_rubrics(course):
        grade(ASSIGNMENT, course=course, on_event=events.append)
    assert [e.learner for e in events if isinstance(e, Done)] == ["learner-000", "learner-001"]
