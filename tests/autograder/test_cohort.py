"""The sample cohort: the same each time, and it earns what its answers say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny_course import ASSIGNMENT, FILES, lay_course, use_rubrics

from autograder.answers import answers_of
from autograder.cohort import lay_cohort, make_cohort
from autograder.loading import load_rubric
from autograder.nbgrading import export, grade, release
from autograder.nbgrading.settings import Folders
from labkit.course import Course
from labkit.errors import WorkbookError


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


@pytest.fixture
def course(tmp_path: Path) -> Iterator[Course]:
    made = lay_course(tmp_path, labs=(FILES,))
    with use_rubrics(made):
        yield made


def test_the_cohort_earns_what_its_answers_say(course: Course) -> None:
    release(ASSIGNMENT, course=course)
    members = lay_cohort(ASSIGNMENT, course=course)
    submitted = Folders.of(course).root / "submitted"
    first = contents(submitted)
    assert [member.learner for member in members] == [f"learner-{n:02}" for n in range(1, 13)]
    lay_cohort(ASSIGNMENT, course=course)
    assert contents(submitted) == first

    some = [f"learner-{number:02}" for number in (1, 2, 4, 5, 6, 10, 11, 12)]
    summary = grade(ASSIGNMENT, some, course=course)
    assert summary.own_errors == []
    records = {record.learner: record for record in summary.records}
    for member in (member for member in members if member.learner in some):
        for lab in records[member.learner].labs:
            assert lab.report is not None
            answer = member.answers[lab.lab]
            lost = {o.check for o in lab.report.outcomes if o.points < o.maximum and o.verdict != "blocked"}
            if answer.name != "blank":
                assert lost == set(answer.loses), (member.about, lab.lab)
    points = {learner: record.points for learner, record in records.items()}
    assert points["learner-01"] == points["learner-02"] == points["learner-05"] == 10
    assert points["learner-10"] <= points["learner-04"]  # forging gains nothing over the blank
    assert records["learner-05"].late_seconds == 7500
    assert records["learner-12"].status == "invalid"
    assert "link_out was left out: it is a link." in records["learner-12"].remarks
    assert "was deleted; it was put back" in " ".join(records["learner-11"].remarks)
    assert len(export(ASSIGNMENT, course=course).read_text().splitlines()) == 1 + 12


def test_answers_that_are_not_complete_are_refused(course: Course) -> None:
    labs = course.assignments[ASSIGNMENT]
    answers = answers_of(load_rubric(labs[0]))
    assert [answer.name for answer in answers if answer.name.startswith("wrong_")] == [
        "wrong_half",
        "wrong_hard_coded",
        "wrong_slow",
    ]
    broken = course.root / "rubrics" / ASSIGNMENT / "answers" / FILES / "reference" / "answer.toml"
    broken.unlink()
    with pytest.raises(WorkbookError, match="reference of week99/four_lines has no readable"):
        make_cohort(labs)
