"""A rubric is repaired: who would change is shown first, and just that is written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from batch import hand_in, lay_batch, lines_of
from tiny_course import ASSIGNMENT, FILES, use_rubrics

from autograder.nbgrading import grade, regrade
from autograder.nbgrading.grading import Run
from labkit.course import Course
from labkit.errors import WorkbookError
from labkit.verdicts import Verdict

BEFORE = {"learner-000": 4, "learner-001": 3, "learner-002": 0}


@pytest.fixture
def course(tmp_path: Path) -> Iterator[Course]:
    """Three graded learners; then the rubric is repaired: a line may also say correct."""
    course = lay_batch(tmp_path / "course", 3)
    with use_rubrics(course):
        hand_in(course, "learner-000", "right\nright\nright\nright\n")
        hand_in(course, "learner-001", "correct\nright\nright\nright\n")
        hand_in(course, "learner-002", "correct\nwrong\nwrong\nwrong\n")
        grade(ASSIGNMENT, course=course)
        assert lines_of(course) == BEFORE
        rubric = course.root / "rubrics" / ASSIGNMENT / f"test_{FILES}.py"
        repaired = rubric.read_text().replace(
            'found = lines.count("right")', 'found = lines.count("right") + lines.count("correct")'
        )
        rubric.write_text(repaired.replace('.startswith("right")', '.startswith(("right", "correct"))'))
        yield course


def test_it_is_shown_first_and_just_that_is_written_also_after_a_kill(course, monkeypatch):
    found = regrade(ASSIGNMENT, course=course)
    changed = {(each.learner, each.title): each.points for each in found.changed}
    assert changed == {
        ("learner-001", "has four right lines"): 1,
        ("learner-001", "starts with a right line"): 2,
        ("learner-002", "has four right lines"): 1,
    }
    blocked = next(each for each in found.changed if each.title.startswith("starts"))
    assert blocked.before is not None
    assert (blocked.before.verdict, blocked.after.verdict) == (Verdict.BLOCKED, Verdict.PASSED)
    assert lines_of(course) == BEFORE

    with monkeypatch.context() as patch:
        patch.setattr(Run, "record", killed_at_the_second(Run.record))
        with pytest.raises(KeyboardInterrupt):
            regrade(ASSIGNMENT, course=course, write=True)
    assert regrade(ASSIGNMENT, course=course, write=True).written
    after = {"learner-000": 4, "learner-001": 4, "learner-002": 1}
    assert lines_of(course) == after
    assert grade(ASSIGNMENT, course=course).kept == sorted(after)


def killed_at_the_second(record):
    calls = []

    def interrupted(self, found):
        calls.append(found.record.learner)
        if len(calls) == 2:
            raise KeyboardInterrupt
        record(self, found)

    return interrupted


def test_one_check_and_what_waits_for_it(course):
    rubric = course.root / "rubrics" / ASSIGNMENT / f"test_{FILES}.py"
    rubric.write_text(rubric.read_text().replace('"slow" not in words and words', '"slow" in words'))
    found = regrade(ASSIGNMENT, ["learner-001"], check="week99/four_lines:lines", course=course)
    assert [each.title for each in found.changed] == ["has four right lines", "starts with a right line"]


@pytest.mark.parametrize("check", ["lines", "week99/four_lines", "week99/four_lines:speed", "week98/x:lines"])
def test_a_check_that_is_none(check, tmp_path):
    course = lay_batch(tmp_path / "course", 0)
    with use_rubrics(course), pytest.raises(WorkbookError):
        regrade(ASSIGNMENT, check=check, course=course)
