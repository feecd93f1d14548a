"""Hints come one at a time, for what is open, and are counted."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from autograder.display import hints_html
from autograder.hints import take_hint
from autograder.loading import CheckSpec, Rubric
from autograder.results import Outcome, Report
from autograder.workplace import Results
from labkit.course import Lab
from labkit.errors import WorkbookError
from labkit.verdicts import Verdict

LAB = Lab("week01/adding", "week01_adding", "01_adding", Path("weeks/week01_adding"))
SUMS = CheckSpec("sums", "adds two numbers", 4, hints=("Look at +.", "Write a + b."))
SPEED = CheckSpec("speed", "adds in time", 2, hints=("Measure <it>.",))
PLAIN = CheckSpec("plain", "has no hint", 1)


@pytest.fixture
def rubric() -> Rubric:
    return Rubric(lab=LAB, path=Path("test_01_adding.py"), checks=(PLAIN, SUMS, SPEED), readings=())


def failed(*names: str) -> Report:
    outcomes = [
        Outcome(
            check=name,
            title=name,
            verdict=Verdict.FAILED if name in names else Verdict.PASSED,
            points=0 if name in names else 4,
            maximum=4,
        )
        for name in ("plain", "sums", "speed")
    ]
    return Report(lab=LAB.id, started=datetime(2026, 1, 1, tzinfo=UTC), outcomes=outcomes)


def test_each_call_shows_one_more_until_all_are_shown(rubric, tmp_path):
    results = Results(tmp_path)
    shown = [take_hint(rubric, results, "sums").shown for _ in range(3)]
    assert shown == [["Look at +."], ["Look at +.", "Write a + b."], ["Look at +.", "Write a + b."]]
    assert results.hints_seen(LAB) == {"sums": 2}


def test_what_failed_comes_before_what_was_not_run(rubric, tmp_path):
    results = Results(tmp_path)
    assert take_hint(rubric, results).title == SUMS.title
    results.keep(LAB, failed("speed"))
    assert take_hint(rubric, results).title == SPEED.title


def test_nothing_is_said_of_what_passed(rubric, tmp_path):
    results = Results(tmp_path)
    results.keep(LAB, failed("plain"))
    assert take_hint(rubric, results) is None
    assert take_hint(rubric, results, "sums") is None
    assert results.hints_seen(LAB) == {}


def test_a_check_that_is_not_there_is_said(rubric, tmp_path):
    with pytest.raises(WorkbookError, match="sum"):
        take_hint(rubric, Results(tmp_path), "sum")


def test_as_html_it_is_text(rubric, tmp_path):
    page = hints_html(take_hint(rubric, Results(tmp_path), "speed"))
    assert "Measure &lt;it&gt;." in page
    assert "0 more for this check" in page
