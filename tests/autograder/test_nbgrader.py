"""The chain release, submit, grade, feedback, export; one learner for each fault of a submission."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import nbformat
import pytest
from nbgrader.api import Gradebook
from tiny_course import ASSIGNMENT, CELLS, FILES, lay_course, use_rubrics

from autograder.nbgrading import Settings, Status, Summary, collect, export, feedback, grade, release
from autograder.nbgrading.files import Limits
from autograder.nbgrading.records import SubmissionRecord
from autograder.nbgrading.scores import open_gradebook
from autograder.nbgrading.settings import COURSE_ID, Folders, nbgrader_api
from labkit.course import Course
from labkit.errors import WorkbookError
from labkit.verdicts import Verdict

DUE = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
RIGHT = "right\n" * 4


def edit(folder: Path, name: str, change: Callable[[nbformat.NotebookNode], None]) -> None:
    path = folder / f"{name}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    change(notebook)
    nbformat.write(notebook, path)


def cell_of(notebook: nbformat.NotebookNode, part: str) -> nbformat.NotebookNode:
    return next(
        c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id", "").endswith(part)
    )


def answer(folder: Path, text: str) -> None:
    (folder / FILES / "answer.txt").write_text(text)


# ---- the learners ----------------------------------------------------------------------------------------


def ada_does_all(folder):
    answer(folder, RIGHT)
    edit(
        folder,
        FILES,
        lambda nb: cell_of(nb, "-why").update(source="The queue was full. <script>alert(1)</script>"),
    )


def bob_does_half(folder):
    answer(folder, "right\nright\nwrong\nwrong\n")


def cyd_straddles(folder):
    answer(folder, RIGHT + "straddles")


def dan_needs_a_gpu(folder):
    answer(folder, RIGHT + "gpu")


def eve_breaks_the_check(folder):
    answer(folder, RIGHT + "break")


def fay_is_not_json(folder):
    answer(folder, RIGHT)
    (folder / f"{FILES}.ipynb").write_text("{not JSON")


def gus_is_version_3(folder):
    (folder / f"{FILES}.ipynb").write_text(json.dumps({"nbformat": 3, "worksheets": []}))


def hal_deletes_and_edits_checks(folder):
    answer(folder, RIGHT)

    def change(notebook):
        lines = cell_of(notebook, "-lines")
        lines.source, lines.metadata.nbgrader.points = "print('full marks')\n100.0", 100
        measured = cell_of(notebook, "-measured")
        notebook.cells = [c for c in notebook.cells if c is not measured and not c.id.startswith("title")]
        notebook.cells.append(nbformat.from_dict(dict(lines, id="twin")))

    edit(folder, FILES, change)


def ida_hands_in_nothing(folder):
    for path in list(folder.iterdir()):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def jon_forgot_a_notebook(folder):
    answer(folder, RIGHT)
    (folder / f"{FILES}.ipynb").unlink()


def kim_hands_in_more_and_late(folder):
    answer(folder, RIGHT)
    (folder / "timestamp.txt").write_text("2026-03-01 14:05:00.000000 UTC")
    shutil.copy(folder / f"{FILES}.ipynb", folder / "99_other.ipynb")
    (folder / "passwords").symlink_to("/etc/passwd")

    def change(notebook):
        data = {
            "text/html": "<script>alert(2)</script>",
            "image/svg+xml": "<svg/>",
            "text/plain": "safe\x1b[31m",
        }
        notebook.cells[1].outputs = [nbformat.v4.new_output("display_data", data=data)]
        notebook.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {"state": {}}}

    edit(folder, FILES, change)


def lee_hands_in_too_much(folder):
    for number in range(60):
        (folder / f"file-{number}").touch()


def ned_breaks_metadata(folder):
    answer(folder, RIGHT)
    path = folder / f"{FILES}.ipynb"
    raw = json.loads(path.read_text())
    for marks, cell in zip(
        ["text", {"grade_id": ["a"]}, {"grade_id": "unknown"}, 7], raw["cells"], strict=False
    ):
        cell["metadata"] = {"nbgrader": marks}
    path.write_text(json.dumps(raw))


LEARNERS = {name.split("_")[0]: do for name, do in list(globals().items()) if name[:4] in {
    "ada_", "bob_", "cyd_", "dan_", "eve_", "fay_", "gus_", "hal_", "ida_", "jon_", "kim_", "lee_", "ned_"
}}  # fmt: skip
SETTINGS = Settings(limits=Limits(files=50))


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Course]:
    made = lay_course(tmp_path_factory.mktemp("nbgrader") / "a course", labs=(FILES,))
    with use_rubrics(made):
        release(ASSIGNMENT, course=made, due=DUE)
        yield made


@pytest.fixture(scope="module")
def folders(course: Course) -> Folders:
    return Folders.of(course)


@pytest.fixture(scope="module")
def graded(course: Course, folders: Folders, tmp_path_factory: pytest.TempPathFactory) -> Summary:
    inbox = tmp_path_factory.mktemp("inbox")
    for learner, do in LEARNERS.items():
        folder = inbox / learner / ASSIGNMENT
        shutil.copytree(folders.release(ASSIGNMENT), folder)
        do(folder)
        if learner in ("kim", "lee"):  # laid as nbgrader's exchange would: it takes links and any number
            shutil.copytree(folder, folders.submitted(learner, ASSIGNMENT), symlinks=True)
    taken = collect(ASSIGNMENT, inbox, course=course)
    assert set(taken.taken) | {"kim", "lee"} == set(LEARNERS)
    shutil.rmtree(folders.submitted("kim", ASSIGNMENT))
    shutil.copytree(inbox / "kim" / ASSIGNMENT, folders.submitted("kim", ASSIGNMENT), symlinks=True)
    (folders.root / "submitted" / "a\nname" / ASSIGNMENT).mkdir(parents=True)
    with open_gradebook(folders.gradebook_url) as gradebook:
        gradebook.update_or_create_student("mia")
    return grade(ASSIGNMENT, course=course, settings=SETTINGS)


def record_of(graded: Summary, learner: str) -> SubmissionRecord:
    return next(record for record in graded.records if record.learner == learner)


def scores_of(folders: Folders, learner: str, name: str = FILES) -> dict[str, tuple[float | None, bool]]:
    gradebook = Gradebook(folders.gradebook_url, COURSE_ID)
    with gradebook:
        notebook = gradebook.find_submission_notebook(name, ASSIGNMENT, learner)
        found = {g.name.split("-")[-1]: (g.auto_score, g.needs_manual_grade) for g in notebook.grades}
    gradebook.engine.dispose()
    return found


def shown_to(folders: Folders, learner: str, name: str = FILES) -> nbformat.NotebookNode:
    return nbformat.read(folders.autograded(learner, ASSIGNMENT) / f"{name}.ipynb", as_version=4)


# ---- what came of them -----------------------------------------------------------------------------------


def test_every_submission_has_one_status(graded):
    assert record_of(graded, "hal").reason == ""
    assert {record.learner: record.status.value for record in graded.records} == {
        **dict.fromkeys(["ada", "bob", "cyd", "dan", "eve", "hal", "kim"], "graded"),
        **{"ida": "missing", "jon": "missing", "mia": "missing"},
        **{"fay": "invalid", "gus": "invalid", "lee": "invalid", "ned": "graded"},
    }
    assert all(record.reason for record in graded.records if record.status is not Status.GRADED)


def test_full_marks_and_an_answer_for_a_person(graded, folders):
    assert scores_of(folders, "ada") == {
        **{"lines": (4.0, False), "order": (2.0, False), "measured": (3.0, False), "secret": (1.0, False)},
        "why": (None, True),
    }


def test_partial_credit_comes_with_its_evidence(graded, folders):
    assert scores_of(folders, "bob")["lines"] == (2.0, False)
    shown = cell_of(shown_to(folders, "bob"), "-lines").outputs
    assert "2 of 4 lines are right" in shown[0].data["text/html"]
    assert shown[1].data["text/plain"] == "2.0"
    assert scores_of(folders, "bob")["order"] == (0.0, False)  # blocked
    assert scores_of(folders, "bob")["why"] == (0.0, False)  # not answered


@pytest.mark.parametrize(
    ("learner", "check", "evidence"),
    [
        ("cyd", "measured", "between 91 and 107"),
        ("dan", "measured", "there is no GPU here"),
        ("eve", "lines", "The check itself broke"),
    ],
)
def test_what_nobody_could_judge_waits_for_a_person(graded, folders, learner, check, evidence):
    assert scores_of(folders, learner)[check] == (None, True)
    assert evidence in cell_of(shown_to(folders, learner), f"-{check}").outputs[0].data["text/html"]


def test_our_own_errors_are_told_apart(graded):
    assert [(error.learner, error.where) for error in graded.own_errors] == [
        ("eve", "week99/four_lines, lines")
    ]
    assert graded.checks_with(Verdict.INCONCLUSIVE) == [("week99/four_lines", "answers in time", 1)]


def test_a_hidden_check_shows_its_title_alone(graded, folders):
    for learner in ("ada", "bob"):
        text = nbformat.writes(shown_to(folders, learner))
        assert "holds for inputs that you have not seen" in text
        assert "4711" not in text


def test_an_unreadable_notebook_does_not_cost_the_files_points(graded, folders):
    assert scores_of(folders, "fay")["lines"] == (4.0, False)
    assert scores_of(folders, "fay")["why"] == (None, True)  # an answer may be in the broken file
    notice = shown_to(folders, "fay").cells[0].source
    assert "could not be read: it is not JSON" in notice
    assert "Expecting property name" not in notice
    assert "Expecting property name" in record_of(graded, "fay").reason
    assert "notebook format 3" in record_of(graded, "gus").reason


def test_checks_that_were_deleted_or_changed_come_back(graded, folders):
    assert scores_of(folders, "hal") == {
        **{"lines": (4.0, False), "order": (2.0, False), "measured": (3.0, False), "secret": (1.0, False)},
        "why": (0.0, False),
    }
    notebook = shown_to(folders, "hal")
    names = [
        c.metadata.nbgrader.grade_id.split("-")[-1] for c in notebook.cells if c.metadata.get("nbgrader")
    ]
    assert sorted(names) == ["lines", "measured", "order", "prompt", "secret", "why"]
    lines = cell_of(notebook, "-lines")
    assert lines.source.startswith("check(")
    assert lines.metadata.nbgrader.points == 4
    told = " ".join(record_of(graded, "hal").remarks)
    assert "measured was deleted; it was put back" in told
    assert "text of the cell week99-four_lines-lines was changed" in told


def test_nothing_handed_in_is_said_and_not_a_bare_zero(graded, folders):
    assert record_of(graded, "ida").reason == "What was handed in is empty."
    assert scores_of(folders, "ida")["lines"] == (0.0, False)
    notebook = shown_to(folders, "ida")
    assert "What was handed in is empty." in notebook.cells[0].source
    assert "What was handed in is empty." in cell_of(notebook, "-lines").outputs[0].data["text/html"]
    assert record_of(graded, "mia").reason == "Nothing was handed in."
    assert not folders.autograded("mia", ASSIGNMENT).exists()


def test_a_missing_notebook_leaves_its_files_judged(graded, folders):
    assert "01_four_lines.ipynb was not in what was handed in" in record_of(graded, "jon").reason
    assert scores_of(folders, "jon")["lines"] == (4.0, False)
    assert "judged nevertheless" in shown_to(folders, "jon").cells[0].source


def test_what_does_not_belong_is_named_and_left_out(graded, folders):
    record = record_of(graded, "kim")
    assert record.late_seconds == 2 * 3600 + 300
    assert record.remarks == [
        "It was handed in 2 h 5 min after it was due.",
        "99_other.ipynb is not part of the assignment and was not looked at.",
        "passwords was left out: it is a link.",
    ]
    kept = sorted(path.name for path in folders.autograded("kim", ASSIGNMENT).iterdir())
    assert kept == [FILES, f"{FILES}.ipynb", "timestamp.txt"]


def test_no_script_reaches_the_instructors_browser(graded, folders):
    kim = shown_to(folders, "kim")
    shown = next(output.data for cell in kim.cells for output in cell.get("outputs", []))
    assert shown == {"text/plain": "safe"}
    assert "widgets" not in kim.metadata
    assert "<script" not in cell_of(shown_to(folders, "ada"), "-why").source
    shown = cell_of(shown_to(folders, "ada"), "-why").source.replace("\u2060", "")
    assert shown == "The queue was full. <script>alert(1)</script>"


def test_too_many_files_wait_for_a_person(graded, folders):
    assert "more than 50 files" in record_of(graded, "lee").reason
    assert set(scores_of(folders, "lee").values()) == {(None, True)}


def test_a_folder_that_is_no_learners_is_refused(graded):
    assert graded.refused == ["The folder 'a\\nname' was left out: that can't be a learner's name."]


def test_records_are_whole_files(graded, folders):
    for record in graded.records:
        assert SubmissionRecord.read(folders.result(record.learner, ASSIGNMENT)) == record


# ---- what stands behind ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def exported(graded: Summary, course: Course) -> dict[tuple[str, str], dict[str, str]]:
    with export(ASSIGNMENT, course=course).open(newline="", encoding="utf-8") as file:
        return {(row["learner"], row["lab"].split("/")[-1]): row for row in csv.DictReader(file)}


def test_export_has_everyone(exported):
    assert len(exported) == len(LEARNERS) + 1
    ada = exported["ada", "four_lines"]
    assert (ada["check_points"], ada["total"], ada["maximum"]) == ("10", "10", "12")
    assert (ada["status"], ada["needs_manual_grade"]) == ("graded", "yes")
    assert exported["mia", "four_lines"]["status"] == "missing"
    assert exported["fay", "four_lines"]["reason"].startswith("The notebook 01_four_lines.ipynb could not")
    assert exported["bob", "four_lines"]["total"] == "6"


def test_feedback_shows_evidence_and_partial_credit(graded, course):
    pages = {(page.parent.parent.name, page.stem): page for page in feedback(ASSIGNMENT, course=course)}
    assert len(pages) == len(LEARNERS)
    bob = pages["bob", FILES].read_text()
    assert "2 of 4 lines are right" in bob
    assert "2 / 4" in bob
    assert "written answer: why" in bob
    assert "no answer" in bob
    assert "waits for a person" in pages["cyd", FILES].read_text()
    assert "alert(" not in pages["kim", FILES].read_text()
    assert "It is not JSON" not in bob
    assert "could not be read: it is not JSON" in pages["fay", FILES].read_text()


def test_a_persons_score_outlives_another_grading(graded, course, folders):
    with open_gradebook(folders.gradebook_url) as gradebook:
        found = gradebook.find_grade("week99-four_lines-lines", FILES, ASSIGNMENT, "bob")
        found.manual_score = 3.5
        gradebook.db.commit()
    again = grade(ASSIGNMENT, ["bob"], course=course, settings=SETTINGS, again=True)
    assert [record.learner for record in again.records] == ["bob"]
    with open_gradebook(folders.gradebook_url) as gradebook:
        found = gradebook.find_grade("week99-four_lines-lines", FILES, ASSIGNMENT, "bob")
        assert (found.auto_score, found.score, found.needs_manual_grade) == (2.0, 3.5, True)
        found.manual_score = None
        gradebook.db.commit()


def test_nbgraders_own_autograde_grades_the_same_way(graded, course, folders):
    before = scores_of(folders, "hal")
    with open_gradebook(folders.gradebook_url) as gradebook:
        for found in gradebook.find_submission_notebook(FILES, ASSIGNMENT, "hal").grades:
            found.auto_score = 0.25
        gradebook.db.commit()
    api = nbgrader_api(course)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("autograder.nbgrading.handover.Settings", lambda: SETTINGS)
        result = api.autograde(ASSIGNMENT, "hal")
    assert result["success"], result
    assert scores_of(folders, "hal") == before
    assert "has four right lines" in nbformat.writes(shown_to(folders, "hal"))
    assert (folders.autograded("hal", ASSIGNMENT) / FILES / "answer.txt").read_text() == RIGHT


def test_scores_are_written_wholly_or_not_at_all(graded, course, folders, monkeypatch):
    before = scores_of(folders, "ada")
    answer(folders.submitted("ada", ASSIGNMENT), "wrong")

    def fail(*_):
        raise ValueError("no penalty today")

    monkeypatch.setattr("autograder.nbgrading.scores._penalty", fail)
    summary = grade(ASSIGNMENT, ["ada"], course=course, settings=SETTINGS)
    assert summary.records == []
    assert "no penalty today" in summary.own_errors[0].message
    assert scores_of(folders, "ada") == before


def test_cells_that_make_what_is_judged_are_run(tmp_path):
    course = lay_course(tmp_path)
    folders = Folders.of(course)
    with use_rubrics(course):
        release(ASSIGNMENT, course=course)
        folder = folders.submitted("ada", ASSIGNMENT)
        shutil.copytree(folders.release(ASSIGNMENT), folder)
        solution = f"Path('{CELLS}/made.txt').write_text('made')\nPath('link').symlink_to('/etc/passwd')"
        edit(folder, CELLS, lambda nb: cell_of(nb, "exercise-1").update(source=solution))
        record = grade(ASSIGNMENT, course=course).records[0]
        assert record.status is Status.GRADED
        assert record.remarks == ["link was left out: it is a link."]
        assert [set(lab.seconds) for lab in record.labs] == [
            {"sanitise", "judge static"},
            {"sanitise", "run", "judge static"},
        ]
        assert scores_of(folders, "ada", CELLS) == {"made": (5.0, False)}
        assert (folders.autograded("ada", ASSIGNMENT) / CELLS / "made.txt").is_file()

        edit(folder, CELLS, lambda nb: cell_of(nb, "exercise-1").update(source="import os\nos._exit(0)"))
        record = grade(ASSIGNMENT, course=course).records[0]
        assert record.status is Status.CRASHED
        assert "ended in cell 3" in shown_to(folders, "ada", CELLS).cells[0].source
        assert scores_of(folders, "ada", CELLS) == {"made": (0.0, False)}
        assert scores_of(folders, "ada")["lines"] == (0.0, False)


# ---- what can't begin ------------------------------------------------------------------------------------


def test_what_is_missing_is_said(course, tmp_path):
    with pytest.raises(WorkbookError, match="There is no assignment 'week98'"):
        grade("week98", course=course)
    with pytest.raises(WorkbookError, match="Nothing of nobody was handed in"):
        grade(ASSIGNMENT, ["nobody"], course=course)
    with pytest.raises(WorkbookError, match="no source of week98"):
        release("week98", course=course)
    with pytest.raises(WorkbookError, match="Nothing was handed in"):
        collect(ASSIGNMENT, tmp_path, course=course)


def test_an_assignment_that_was_not_released(tmp_path):
    fresh = lay_course(tmp_path)
    for use in (grade, export):
        with pytest.raises(WorkbookError, match="has not been released"):
            use(ASSIGNMENT, course=fresh)


def test_a_gradebook_that_is_none(tmp_path):
    (tmp_path / "gradebook.db").write_text("this is no database, and long enough to be seen as such " * 20)
    with (
        pytest.raises(WorkbookError, match="The gradebook can't be used"),
        open_gradebook(f"sqlite:///{tmp_path / 'gradebook.db'}"),
    ):
        pass


def test_collecting_again_takes_only_what_changed(graded, course, folders, tmp_path):
    shutil.copytree(folders.submitted("bob", ASSIGNMENT), tmp_path / "bob" / ASSIGNMENT)
    assert collect(ASSIGNMENT, tmp_path, course=course).unchanged == ["bob"]
    answer(tmp_path / "bob" / ASSIGNMENT, "right right right wrong")
    assert collect(ASSIGNMENT, tmp_path, course=course).taken == ["bob"]
