"""The way of a cohort: roster, zips from learners, lateness, grades."""

from __future__ import annotations

import csv
import json
import os
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import typer
from tiny_course import ASSIGNMENT, FILES, lay_course, use_rubrics
from typer.testing import CliRunner

from autograder.classroom.handing_in import pack
from autograder.classroom.overview import overview_of
from autograder.classroom.own_word import read_own_word
from autograder.commands import cohort, grading, submit
from autograder.nbgrading.settings import Folders
from autograder.workplace import Results
from labkit.course import Course
from labkit.errors import WorkbookError

DUE = datetime(2026, 3, 1, 12, tzinfo=UTC)
app = typer.Typer()
for command in (grading.release, grading.collect, grading.grade, grading.export):
    app.command(command.__name__)(command)
for command in (submit.submit, cohort.roster, cohort.extend, cohort.overview):
    app.command(command.__name__)(command)


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Course]:
    made = lay_course(tmp_path_factory.mktemp("cohort"), labs=(FILES,))
    with use_rubrics(made), pytest.MonkeyPatch.context() as patch:
        patch.chdir(made.root)
        patch.setattr("autograder.classroom.handing_in.handed_out", handout)
        yield made


def handout(lab) -> dict[str, Path]:
    return {"answer.txt": lab.handout / "answer.txt"}


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def learn(course: Course) -> Path:
    """A learner's copy with a right answer and one hint read."""
    lab = course.labs[0]
    folder = course.learn / ASSIGNMENT / FILES
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "answer.txt").write_text("right\n" * 4)
    source = Folders.of(course).source(ASSIGNMENT) / f"{FILES}.ipynb"
    (course.learn / ASSIGNMENT / f"{FILES}.ipynb").write_bytes(source.read_bytes())
    results = Results.of(course.learn / ASSIGNMENT)
    if not results.hints_seen(lab):
        results.count_hint(lab, "lines")
    return course.learn


def test_the_same_work_gives_the_same_zip(course, learn, tmp_path):
    one = pack(course, ASSIGNMENT, tmp_path / "one.zip")
    two = pack(course, "week99", tmp_path / "two.zip")
    assert (one.files, one.missing, one.untouched) == (2, [], [])
    assert one.path.read_bytes() == two.path.read_bytes()


def test_what_is_missing_and_what_is_untouched_is_said(course, learn, tmp_path):
    (learn / ASSIGNMENT / f"{FILES}.ipynb").unlink()
    (learn / ASSIGNMENT / FILES / "answer.txt").write_text("wrong\n")
    result = CliRunner().invoke(app, ["submit", ASSIGNMENT, "--to", str(tmp_path)])
    assert result.exit_code == 1
    assert f"{FILES}.ipynb was handed out and is missing" in result.stdout
    assert "is as it was handed out: no file of it was edited" in result.stdout
    assert (tmp_path / f"{ASSIGNMENT}.zip").is_file()


def test_without_a_copy_there_is_nothing_to_hand_in(tmp_path):
    with pytest.raises(WorkbookError, match="You have no copy"):
        pack(lay_course(tmp_path, labs=(FILES,)), ASSIGNMENT)


def test_from_zips_to_grades_with_lateness(course, learn, tmp_path):
    (course.root / "late.toml").write_text("grace_minutes = 10\npercent_per_day = 10\n")
    roster = tmp_path / "roster.csv"
    roster.write_text("id,first_name,last_name\nada,Ada,Lovelace\nzoe,Zoë,Muñoz\nbo,Bo,\nal,Al,\n")
    run("release", ASSIGNMENT, "--due", DUE.isoformat())
    assert "4 learners: 4 new" in run("roster", str(roster))
    run("extend", ASSIGNMENT, "bo", "--days", "2")

    inbox = tmp_path / "inbox"
    packed = pack(course, ASSIGNMENT, tmp_path / "mine.zip").path.read_bytes()
    for name, late in {
        "Ada Lovelace_17_file_/mine.zip": timedelta(minutes=-1),
        "zoe.zip": timedelta(hours=1),
        "bo_late.zip": timedelta(days=1),
        "mallory.zip": timedelta(),
    }.items():
        path = inbox / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(packed)
        at = (DUE + late).timestamp()
        os.utime(path, (at, at))
    with zipfile.ZipFile(inbox / "al.zip", "w") as archive:
        archive.writestr("week98_other/answer.txt", "right")

    said = json.loads(run("collect", ASSIGNMENT, "--from", str(inbox), "--json"))
    assert said["taken"] == ["ada", "bo", "zoe"]
    assert [sentence.split(":")[0].split()[0] for sentence in said["refused"]] == ["'mallory.zip'", "al"]
    word = read_own_word(Folders.of(course).own_word("zoe", ASSIGNMENT))
    assert word is not None
    assert word.labs["week99/four_lines"].hints == {"lines": 1}

    run("grade", ASSIGNMENT, "--jobs", "1")
    assert lateness(course, tmp_path) == {"ada": 0, "al": 0, "bo": 0, "zoe": pytest.approx(1)}
    (course.root / "late.toml").write_text("percent_per_day = 20\n")
    run("grade", ASSIGNMENT, "--jobs", "1")
    assert lateness(course, tmp_path)["zoe"] == pytest.approx(2)

    found = overview_of(course, ASSIGNMENT)
    assert (found.graded, found.learners, found.not_handed_in) == (3, 4, ["al"])
    assert (found.median_points, found.maximum) == (10, 10)
    hints = {check.title: check.hints for check in found.checks}
    assert hints["has four right lines"] == 3  # one read in each of three copies
    assert "Nothing from: al" in run("overview", ASSIGNMENT)


def lateness(course: Course, tmp_path: Path) -> dict[str, float]:
    run("export", ASSIGNMENT, "--to", str(tmp_path / "scores.csv"))
    rows = csv.DictReader((tmp_path / "scores.csv").read_text().splitlines())
    return {row["learner"]: float(row["late_penalty"]) for row in rows}
