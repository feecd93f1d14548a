from datetime import UTC, datetime

import pytest

from autograder.results import Outcome, Report
from autograder.workplace import Results, work_folder
from labkit.course import Course, Lab
from labkit.errors import WorkbookError
from labkit.verdicts import Verdict

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def lab(tmp_path):
    return Lab("week01/adding", "week01_adding", "01_adding", tmp_path / "weeks" / "week01_adding")


def report(**points):
    outcomes = [
        Outcome(check=name, title=name, verdict=Verdict.PASSED, points=worth, maximum=4)
        for name, worth in points.items()
    ]
    return Report(lab="week01/adding", started=NOW, outcomes=outcomes)


def test_the_work_is_where_one_stands_else_in_learn(tmp_path, lab):
    course = Course(tmp_path)
    with pytest.raises(WorkbookError, match="workbook lab"):
        work_folder(course, lab, tmp_path)
    mine = tmp_path / "learn" / "week01_adding" / "01_adding"
    mine.mkdir(parents=True)
    assert work_folder(course, lab, tmp_path) == mine.parent
    other = tmp_path / "elsewhere" / "01_adding" / "deep"
    other.mkdir(parents=True)
    assert work_folder(course, lab, other) == tmp_path / "elsewhere"


def test_a_run_of_one_part_keeps_the_others(tmp_path, lab):
    results = Results(tmp_path)
    results.keep(lab, report(sums=1, speed=2))
    whole = results.keep(lab, report(speed=4))
    assert {o.check: o.points for o in whole.outcomes} == {"sums": 1, "speed": 4}
    assert results.report(lab) == whole


def test_a_damaged_record_is_no_reason_to_stop(tmp_path, lab):
    results = Results(tmp_path)
    results.keep(lab, report(sums=1))
    results.count_hint(lab, "sums")
    for file in tmp_path.glob("*.json"):
        file.write_text("{half")
    assert results.report(lab) is None
    assert results.hints_seen(lab) == {}
    results.count_hint(lab, "sums")
    results.count_hint(lab, "sums")
    assert results.hints_seen(lab) == {"sums": 2}


def test_nothing_half_written_stays(tmp_path, lab):
    Results(tmp_path).keep(lab, report(sums=1))
    assert sorted(p.name for p in tmp_path.iterdir() if p.suffix == ".json") == ["week01-adding.report.json"]
