from __future__ import annotations

import json

import nbformat
import pytest

from autograder.handouts import lay_handout
from autograder.notebooks import ANSWER_STUB, derive
from autograder.release import find_leaks, release_notebook, released

SOLUTION = "    doubled_by_addition = number + number"
HIDDEN = "secret_operands = (2**31, 2**31)"
ANSWER = "total_of_both_operands = a + b"


@pytest.fixture
def going_out(small_course, tmp_path):
    """A folder with just what a learner gets."""
    lab = small_course.adding
    folder = tmp_path / "out"
    lay_handout(lab, folder / lab.name)
    (folder / f"{lab.name}.ipynb").write_text(nbformat.writes(released(lab)))
    return folder


def test_solutions_are_gone_and_the_rest_stays(small_course):
    notebook = derive(small_course.adding)
    learners = release_notebook(notebook)
    text = nbformat.writes(learners)
    assert "doubled_by_addition" not in text
    assert "BEGIN SOLUTION" not in text
    (exercise,) = (cell for cell in learners.cells if cell.id == "week01-adding-doubling")
    assert exercise.source.startswith("def double(number):\n    # Write your code here.\n    raise NotImpl")
    assert [cell.id for cell in learners.cells] == [cell.id for cell in notebook.cells]
    nbformat.validate(learners)


def test_the_notebook_that_it_came_from_is_not_touched(small_course):
    notebook = derive(small_course.adding)
    before = nbformat.writes(notebook)
    release_notebook(notebook)
    assert nbformat.writes(notebook) == before


def test_checks_are_locked_and_answers_are_not(small_course):
    cells = {cell.id: cell for cell in released(small_course.adding).cells}
    assert cells["week01-adding-sums"].metadata.editable is False
    assert cells["week01-adding-why_it_wraps"].source == ANSWER_STUB
    assert cells["week01-adding-why_it_wraps"].metadata.get("editable", True)


def test_what_a_learner_gets_holds_no_leak(small_course, going_out):
    assert find_leaks(going_out, small_course) == []


@pytest.mark.parametrize(
    ("line", "secret"),
    [
        (SOLUTION, "a solution of week01/adding"),
        ("# " + SOLUTION.replace(" = ", "  =  "), "a solution of week01/adding"),
        (f"+    {HIDDEN}", "the hidden check test_overflow of week01/adding"),
        (ANSWER, "the answer reference/adder.py of week01/adding"),
        ("  ### BEGIN SOLUTION", "a solution's marker"),
    ],
)
def test_a_secret_line_is_found_in_any_file(small_course, going_out, line, secret):
    (going_out / "notes.txt").write_text(f"By the way:\n{line}\n")
    (leak,) = find_leaks(going_out, small_course)
    assert (leak.path.name, leak.line, leak.secret) == ("notes.txt", 2, secret)
    assert secret in str(leak)


def test_a_secret_is_found_in_a_notebooks_output(small_course, going_out):
    notebook = released(small_course.adding)
    notebook.cells[1].outputs = [nbformat.v4.new_output("stream", text=f"one\n\t{ANSWER}\n")]
    (going_out / "01_adding.ipynb").write_text(nbformat.writes(notebook))
    assert {leak.secret for leak in find_leaks(going_out, small_course)} == {
        "the answer reference/adder.py of week01/adding"
    }


def test_a_secret_is_found_in_escaped_json(small_course, going_out):
    (going_out / "deep.json").write_text(json.dumps({"a": [{"b": f"x\n{HIDDEN}"}]}))
    assert find_leaks(going_out, small_course)


def test_a_whole_answer_is_found_whatever_it_is_called(small_course, going_out):
    content = b"\x00\xff\x01 weights"
    answers = small_course.root / "autograder/rubrics/week01_numbers/answers/01_adding"
    (answers / "wrong_model").mkdir()
    (answers / "wrong_model/model.bin").write_bytes(content)
    (going_out / "holiday.jpg").write_bytes(content)
    (leak,) = find_leaks(going_out, small_course)
    assert (leak.line, leak.secret) == (0, "the answer wrong_model/model.bin of week01/adding")


def test_the_tree_with_solutions_leaks(small_course, going_out):
    (going_out / "01_adding.ipynb").write_text(nbformat.writes(derive(small_course.adding)))
    assert any(leak.secret == "a solution of week01/adding" for leak in find_leaks(going_out, small_course))
