"""`workbook new-lab`: what it lays passes as it stands, and touches nothing that is there."""

from __future__ import annotations

import pytest

from autograder.answers import answers_of
from autograder.commands.new_lab import lay_new_lab
from autograder.loading import load_rubric
from autograder.notebooks import differences
from autograder.validate import validate
from labkit.course import Course
from labkit.errors import WorkbookError
from labkit.verdicts import Verdict


def test_the_skeleton_passes_as_it_stands(small_course, tmp_path):
    rubrics = small_course.root / "autograder/rubrics"
    laid = lay_new_lab(small_course, "week01/greeting_people", minutes=25, rubrics=rubrics)
    course = Course(small_course.root)
    lab = course.lab("week01/greeting_people")
    assert lab.name == "02_greeting_people"
    assert lab.notebook in laid
    assert not differences(course)
    assert len(answers_of(load_rubric(lab))) == 4  # with the blank, which is the handout
    found = {each.answer.name: each for each in validate(lab, tmp_path / "kept")}
    assert {name: each.verdict for name, each in found.items() if each.verdict is not Verdict.PASSED} == {}
    assert "25 minutes" in lab.source.read_text()


@pytest.mark.parametrize(
    ("lab", "says"),
    [
        ("week01/adding", "There is a lab week01/adding already"),
        ("week02/new", "There is no week week02"),
        ("week01/Néw", "can't be a lab's id"),
        ("../week01/new", "can't be a lab's id"),
    ],
)
def test_what_can_not_be_laid(small_course, lab, says):
    before = sorted(small_course.root.rglob("*"))
    with pytest.raises(WorkbookError, match=says):
        lay_new_lab(small_course, lab, rubrics=small_course.root / "autograder/rubrics")
    assert sorted(small_course.root.rglob("*")) == before
