"""The commands `release`, `collect`, `grade`, `feedback` and `export`, as people and programs use them."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from rich.console import Console
from tiny_course import ASSIGNMENT, FILES, lay_course, use_rubrics
from typer.testing import CliRunner

from autograder.commands import grading
from autograder.nbgrading import Summary
from autograder.nbgrading.settings import Folders
from labkit.course import Course

app = typer.Typer()
for command in (grading.release, grading.collect, grading.grade, grading.feedback, grading.export):
    app.command(command.__name__)(command)


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Course]:
    made = lay_course(tmp_path_factory.mktemp("commands"), labs=(FILES,))
    with use_rubrics(made), pytest.MonkeyPatch.context() as patch:
        patch.chdir(made.root)
        yield made


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout


def hand_in(inbox: Path, learner: str, text: str, course: Course) -> None:
    folder = inbox / learner / ASSIGNMENT
    shutil.copytree(Folders.of(course).release(ASSIGNMENT), folder)
    (folder / FILES / "answer.txt").write_text(text)


def test_the_chain(course: Course, tmp_path: Path) -> None:
    assert run("release", ASSIGNMENT, "--due", "2026-03-01T12:00") == (
        0,
        f"Released {ASSIGNMENT}: 2 files in build/nbgrader/release/{ASSIGNMENT}.\n",
    )
    hand_in(tmp_path, "ann", "right\n" * 4, course)
    hand_in(tmp_path, "ben", "right\nwrong\nslow\n", course)
    hand_in(tmp_path, "eve", "break", course)
    code, said = run("collect", ASSIGNMENT, "--from", str(tmp_path), "--json")
    assert (code, json.loads(said)["taken"]) == (0, ["ann", "ben", "eve"])

    code, said = run("grade", ASSIGNMENT, "--learner", "ann", "--json")
    assert code == 0
    assert [record["learner"] for record in json.loads(said)["records"]] == ["ann"]
    code, said = run("grade", ASSIGNMENT)
    assert code == 4  # a check broke: an error on our side
    for part in ("graded 3", "Points by checks", "has four right lines", "Errors on our side", "Time:"):
        assert part in said

    code, said = run("feedback", ASSIGNMENT, "--json")
    assert (code, len(json.loads(said))) == (0, 3)
    code, said = run("export", ASSIGNMENT, "--to", str(tmp_path / "scores.csv"))
    assert code == 0
    assert "ben,week99/four_lines,graded,2,10" in (tmp_path / "scores.csv").read_text()


def test_an_interruption_says_what_is_kept(course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(grading, "grade_work", interrupt)
    result = CliRunner().invoke(app, ["grade", ASSIGNMENT])
    assert result.exit_code == 130
    assert "the same command goes on from here" in result.stderr


def test_a_summary_of_nothing() -> None:
    console = Console(width=80, file=io.StringIO())
    console.print(grading.summary_of(Summary(assignment=ASSIGNMENT, seconds=0.1)))
    assert "nothing to grade" in console.file.getvalue()
