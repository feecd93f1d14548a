"""The run that shows it all: one part that breaks or can't be had here does not hide the others."""

from __future__ import annotations

from autograder import course_run
from autograder.course_run import live_labs, run_course
from autograder.report import write_html
from labkit.course import find_course
from labkit.errors import Unavailable, WorkbookError


def test_a_notebook_that_breaks_and_a_machine_without_a_sandbox_are_said_and_the_rest_is_shown(
    small_course, monkeypatch, tmp_path
):
    def breaks(*_, **__):
        raise WorkbookError("week01/adding: the cell [3] failed.", why="ReadTimeout: timed out")

    def lacks(*_, **__):
        raise Unavailable("There is no sandbox here.", next_step="make sandbox")

    monkeypatch.setattr(course_run, "run_notebook", breaks)
    monkeypatch.setattr(course_run, "grade", lacks)
    monkeypatch.setattr(course_run, "release", lambda *_, **__: None)
    monkeypatch.setattr(course_run, "lay_cohort", lambda *_, **__: None)
    monkeypatch.setattr(course_run, "lay_tree", lambda _: None)
    said: list[str] = []
    run = run_course(small_course, said.append)
    assert run.labs == []
    assert ["ReadTimeout" in error for error in run.own_errors] == [True]
    assert list(run.not_run) == ["week01_numbers"]
    page = write_html(run, tmp_path / "report.html").read_text()
    assert "the cell [3] failed" in page
    assert "There is no sandbox here." in page
    assert any("It broke." in line for line in said)
    assert any("not graded here" in line for line in said)


def test_one_lab_a_week_is_live_for_the_cohort_and_no_project():
    course = find_course()
    found = {assignment: live_labs(course, assignment) for assignment in course.assignments}
    assert all(len(labs) == 1 for assignment, labs in found.items() if assignment.startswith("week"))
    assert all(labs == () for assignment, labs in found.items() if assignment.startswith("project"))
    assert {lab for labs in found.values() for lab in labs} <= {lab.id for lab in course.labs}
