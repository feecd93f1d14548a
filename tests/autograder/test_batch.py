"""Batches: side by side, in two passes, resumed where they were cut off, each submission graded once."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from batch import grade_and_kill, hand_in, journal_of, lay_batch, lines_of
from tiny_course import ASSIGNMENT, FILES, use_rubrics

from autograder.nbgrading import Settings, Status, grade
from autograder.nbgrading.grading import Done, Step
from autograder.nbgrading.journal import Journal, one_run_at_a_time
from autograder.nbgrading.preparing import Phase
from autograder.nbgrading.records import SubmissionRecord
from autograder.nbgrading.settings import Folders
from labkit.course import Course
from labkit.errors import WorkbookError

SIZE = 7
EXPECTED = {f"learner-{number:03}": float(number % 5) for number in range(SIZE)}


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Course:
    return lay_batch(tmp_path_factory.mktemp("batch"), SIZE, live=True)


def test_side_by_side_in_two_passes_and_only_what_changed_again(batch: Course) -> None:
    events = []
    with use_rubrics(batch):
        summary = grade(ASSIGNMENT, course=batch, jobs=2, on_event=events.append)
        assert summary.own_errors == []
        assert lines_of(batch) == EXPECTED
        steps = [(event.part, event.done) for event in events if isinstance(event, Step)]
        # Nothing is left to say of those who handed in empty files before the live checks of all.
        assert steps == [(part, number) for part in ("static", "live") for number in range(1, SIZE + 1)]
        assert [e.done for e in events if isinstance(e, Done)] == list(range(1, SIZE + 1))
        assert set(summary.phases) == {"sanitise", "judge static", "judge live"}
        assert {"plan", "record", "static pass", "live pass"} <= set(summary.grader_seconds)
        (lab,) = summary.records[1].labs
        assert [outcome.check for outcome in lab.report.outcomes] == ["lines", "order", "measured", "secret"]

        again = grade(ASSIGNMENT, course=batch, jobs=2)
        assert again.kept == sorted(EXPECTED)
        assert again.phases == {}
        assert again.records == summary.records

        hand_in(batch, "learner-000", "right\nright\nright\n")
        third = grade(ASSIGNMENT, course=batch, jobs=2)
        assert third.kept == sorted(EXPECTED)[1:]
        assert lines_of(batch) == {**EXPECTED, "learner-000": 3.0}
        forced = grade(ASSIGNMENT, ["learner-001"], course=batch, again=True)
        assert forced.kept == []
        rubric = batch.root / "rubrics" / ASSIGNMENT / f"test_{FILES}.py"
        rubric.write_text(rubric.read_text().replace("@points(4,", "@points(2,"))
        assert grade(ASSIGNMENT, ["learner-001"], course=batch).kept == []


def test_nothing_is_lost_or_repeated_when_processes_are_killed(tmp_path: Path) -> None:
    _kill_and_look(tmp_path, kills=3, seed=1, size=6)


@pytest.mark.nightly
def test_nothing_is_lost_or_repeated_in_twenty_kills(tmp_path: Path) -> None:
    _kill_and_look(tmp_path, kills=20, seed=2, size=40)


def _kill_and_look(folder: Path, *, kills: int, seed: int, size: int) -> None:
    course = lay_batch(folder, size, live=True)
    result = grade_and_kill(course, kills=kills, seed=seed)
    expected = {f"learner-{number:03}": float(number % 5) for number in range(size)}
    assert result.kills == kills
    assert result.survivors == []
    assert result.regraded == []
    assert lines_of(course) == expected
    assert sorted(journal_of(course)) == sorted(expected)
    folders = Folders.of(course)
    for learner in expected:
        record = SubmissionRecord.read(folders.result(learner, ASSIGNMENT))
        assert record is not None
        assert record.status is Status.GRADED
        assert (folders.autograded(learner, ASSIGNMENT) / f"{FILES}.ipynb").is_file()
    assert list((folders.grading / ASSIGNMENT / "spool").iterdir()) == []
    assert not (folders.grading / "scratch").exists()


def test_what_a_worker_left_is_recorded_and_not_judged_again(tmp_path: Path) -> None:
    course = lay_batch(tmp_path, 2)
    folders = Folders.of(course)

    def end_after_first(event: object) -> None:
        if isinstance(event, Phase) and event.phase == "judge static":
            order.append(event.learner)
        if isinstance(event, Done):
            raise KeyboardInterrupt

    order: list[str] = []
    with use_rubrics(course):
        with pytest.raises(KeyboardInterrupt):
            grade(ASSIGNMENT, course=course, on_event=end_after_first)
        assert len(lines_of(course)) == 1
        with (folders.grading / ASSIGNMENT / "journal.jsonl").open("ab") as journal:
            journal.write(b'{"learner": "learner-001", "key": "cut off he')
        summary = grade(ASSIGNMENT, course=course)
    assert len(summary.kept) == 1
    assert lines_of(course) == {"learner-000": 0.0, "learner-001": 1.0}
    assert [record.learner for record in summary.records] == ["learner-000", "learner-001"]
    with use_rubrics(course):
        assert len(grade(ASSIGNMENT, course=course).kept) == 2  # the cut-off line hides none that follows


def test_a_submission_whose_worker_ends_each_time_waits_for_a_person(tmp_path: Path) -> None:
    course = lay_batch(tmp_path, 2)
    rubric = course.root / "rubrics" / ASSIGNMENT / f"test_{FILES}.py"
    kills = '    if "kill" in lines:\n        import os\n        os.kill(os.getppid(), 9)\n'
    text = rubric.read_text().replace('    if "break" in lines:\n', f'{kills}    if "break" in lines:\n')
    rubric.write_text(text)
    hand_in(course, "learner-000", "kill")
    with use_rubrics(course):
        summary = grade(ASSIGNMENT, course=course)
        assert [record.status for record in summary.records] == [Status.CRASHED, Status.GRADED]
        assert "ended unexpectedly. (Its worker ended 3 times.)" in summary.records[0].reason
        assert [error.learner for error in summary.own_errors] == ["learner-000"]
        assert lines_of(course) == {"learner-000": None, "learner-001": 1.0}
        assert grade(ASSIGNMENT, course=course).kept == ["learner-001"]  # our own errors are tried anew


def test_one_run_at_a_time_and_what_a_killed_one_left_goes(tmp_path: Path) -> None:
    with one_run_at_a_time(tmp_path / "grading") as scratch:
        with (
            pytest.raises(WorkbookError, match="Another run of grading"),
            one_run_at_a_time(tmp_path / "grading"),
        ):
            pass
        left = Path(shutil.copytree(scratch, f"{scratch}-left"))
    assert not scratch.exists()
    (tmp_path / "grading" / "scratch").write_text(str(left))
    with one_run_at_a_time(tmp_path / "grading"):
        assert not left.exists()
    kept = tmp_path / "precious"
    kept.mkdir()
    (tmp_path / "grading" / "scratch").write_text(str(kept))
    with one_run_at_a_time(tmp_path / "grading"):
        assert kept.is_dir()


def test_a_journal_says_the_last_word_of_each(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.mark_recorded("ada", "one", "graded")
    journal.mark_recorded("ada", "two", "graded")
    journal.path.write_bytes(journal.path.read_bytes() + b"[1, 2]\n\xff\n{")
    journal.mark_recorded("bob", "three", "missing")
    fresh = Journal(tmp_path)
    assert (fresh.recorded("ada"), fresh.recorded("bob"), fresh.recorded("eve")) == ("two", "three", "")


def test_nothing_is_left_running() -> None:
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it has ended meanwhile
            found.append(" ".join(process.cmdline()))
    assert [command for command in found if "autograder.nbgrading.worker" in command] == []


def test_live_checks_of_some_labs_alone(tmp_path: Path) -> None:
    course = lay_batch(tmp_path / "course", 1, live=True)
    with use_rubrics(course):
        static = grade(ASSIGNMENT, course=course, settings=Settings(live_labs=()))
        (lab,) = static.records[0].labs
        assert [outcome.check for outcome in lab.report.outcomes] == ["lines", "order", "secret"]
        whole = grade(ASSIGNMENT, course=course)
        assert whole.kept == []
        (lab,) = whole.records[0].labs
        assert "measured" in [outcome.check for outcome in lab.report.outcomes]
