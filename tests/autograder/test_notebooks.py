from __future__ import annotations

import json

import nbformat
import pytest
from nbgrader.nbgraderformat import MetadataValidator

from autograder.notebooks import ANSWER_STUB, derive, generate, main, render
from labkit.errors import WorkbookError


def marked(notebook, grade_id):
    (cell,) = (c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id") == grade_id)
    return cell


def test_a_check_cell_is_locked_and_has_the_rubrics_points(small_course):
    cell = marked(derive(small_course.adding), "week01-adding-sums")
    marks = cell.metadata.nbgrader
    assert (marks.grade, marks.locked, marks.solution, marks.points) == (True, True, False, 4)
    assert cell.source == 'check("week01/adding", "sums")  # 4 points'
    assert cell.id == "week01-adding-sums"


def test_a_fraction_of_a_point_stays_one(small_course):
    cell = marked(derive(small_course.adding), "week01-adding-overflow")
    assert cell.metadata.nbgrader.points == 2.5
    assert cell.source.endswith("# 2.5 points")


def test_a_check_cell_without_part_is_worth_all_checks(small_course):
    small_course.edit_source(':tags: [check]\n\ncheck("week01/adding", "overflow")', "total = 3")
    small_course.edit_source('check("week01/adding", "sums")', 'check("week01/adding")')
    assert marked(derive(small_course.adding), "week01-adding").metadata.nbgrader.points == 6.5


def test_a_reading_is_a_locked_prompt_and_an_answer(small_course):
    notebook = derive(small_course.adding)
    prompt = marked(notebook, "week01-adding-why_it_wraps-prompt")
    answer = marked(notebook, "week01-adding-why_it_wraps")
    assert prompt.metadata.nbgrader.locked
    assert not prompt.metadata.nbgrader.grade
    assert prompt.source == "Why does the sum wrap?\n\n*3 points, graded by a person.*"
    assert answer.metadata.nbgrader.grade
    assert answer.metadata.nbgrader.solution
    assert answer.metadata.nbgrader.points == 3
    assert answer.source == ANSWER_STUB
    cells = list(notebook.cells)
    assert cells.index(answer) == cells.index(prompt) + 1


def test_an_exercise_is_an_ungraded_solution(small_course):
    marks = marked(derive(small_course.adding), "week01-adding-doubling").metadata.nbgrader
    assert marks.solution
    assert not marks.grade


def test_an_exercise_without_a_name_is_numbered(small_course):
    small_course.edit_source("[exercise, doubling]", "[exercise]")
    assert marked(derive(small_course.adding), "week01-adding-exercise-1")


def test_other_cells_stay_the_learners_and_keep_papermills_tag(small_course):
    notebook = derive(small_course.adding)
    assert notebook.cells[1].metadata == {"tags": ["parameters"]}
    assert notebook.cells[0].metadata == {}


def test_nbgrader_and_nbformat_find_it_valid(small_course):
    notebook = derive(small_course.adding)
    nbformat.validate(notebook)
    MetadataValidator().validate_nb(notebook)


def test_the_same_source_gives_the_same_bytes(small_course):
    text = render(small_course.adding)
    assert text == render(small_course.adding)
    assert text.endswith("}\n")
    assert json.loads(text)["metadata"]["workbook"] == {
        "assets": [],
        "lab": "week01/adding",
        "minutes": 20,
        "needs": [],
    }
    assert all(cell["outputs"] == [] for cell in json.loads(text)["cells"] if cell["cell_type"] == "code")


def test_ids_survive_edits_elsewhere(small_course):
    before = {cell.source: cell.id for cell in derive(small_course.adding).cells}
    small_course.edit_source("About 20 minutes.", "About 25 minutes.\n\n+++\n\nA new cell.")
    after = {cell.source: cell.id for cell in derive(small_course.adding).cells}
    changed = {text for text in before.keys() & after.keys() if before[text] != after[text]}
    assert len(before.keys() - after.keys()) == 1
    assert not changed


def test_equal_cells_have_ids_of_their_own(small_course):
    ids = [cell.id for cell in derive(small_course.adding).cells]
    assert len(ids) == len(set(ids))


def test_generate_writes_only_what_changed(small_course):
    assert generate(small_course) == [small_course.adding.notebook]
    assert generate(small_course) == []


def test_the_command_compares(small_course, capsys):
    assert main(["--check"]) == 1
    assert "01_adding.ipynb is missing" in capsys.readouterr().out
    assert main([]) == 0
    assert main(["--check"]) == 0
    small_course.edit_source("That is all.", "That is almost all.")
    small_course.write("weeks/week01_numbers/02_old.ipynb", "{}")
    capsys.readouterr()
    assert main(["--check"]) == 1
    out = capsys.readouterr().out
    assert "01_adding.ipynb differs from its source" in out
    assert "02_old.ipynb has no source" in out


def test_the_command_says_what_is_wrong(small_course, capsys):
    small_course.edit_source("[exercise, doubling]", "[exercize]")
    assert main([]) == 1
    assert "nobody knows the tag 'exercize'. Did you mean 'exercise'?" in capsys.readouterr().err


def test_prose_may_say_how_solutions_end(small_course):
    small_course.edit_source("About 20 minutes.", "In the end solutions differ by what they cost.")
    assert any("In the end solutions" in cell.source for cell in derive(small_course.adding).cells)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("# Add two numbers", "Add two numbers", ["line 14", "the first cell is not the title"]),
        ("minutes: 20", "minute: 20", ["the header is not complete", "workbook.minute"]),
        ("workbook:\n  minutes: 20\n", "", ["the header is not complete", "workbook: Field required"]),
        ("minutes: 20", "minutes: 20\n  asets: [a]", ["Did you mean 'assets'?"]),
        ("minutes: 20", "minutes: [", ["the header is not YAML"]),
        ("---\njupytext:", "jupytext:", ["there is no YAML header"]),
        (":tags: [parameters]", ":tags: [paramters]", ["the tag 'paramters'", "Did you mean 'parameters'?"]),
        (":tags: [parameters]", ":tags: parameters", ["a cell can't be parsed", "not of type 'array'"]),
        (":tags: [parameters]", ":tag: [parameters]", ["a cell says 'tag'", "Did you mean 'tags'?"]),
        (":tags: [parameters]", ":tags: [parameters", ["a cell can't be parsed"]),
        (":tags: [parameters]", ":tags: [parameters, check]", ["both parameters and check"]),
        ('"sums")', '"sms")', ["line 58", "no check 'sms'", "Did you mean 'sums'?"]),
        ('check("week01/adding", "sums")', "1", ["line 58", "does not hold exactly one check"]),
        ('check("week01/adding", "sums")', 'check("week02/adding", "sums")', ["checks 'week02/adding'"]),
        ('"sums")', '"sums")  # 4 points', ["says its points"]),
        ('"overflow")', '"sums")', ["'sums' has two cells", "line 64"]),
        (":tags: [check]\n\n", "", ["the cell that checks 'sums' lacks the tag check"]),
        (
            ':tags: [check]\n\ncheck("week01/adding", "overflow")',
            "total = 3",
            ["the rubric's check 'overflow' has no cell", 'check("week01/adding", "overflow")'],
        ),
        ('"why_it_wraps"', '"why_it_warps"', ["no reading 'why_it_warps'", "Did you mean 'why_it_wraps'?"]),
        ('["reading", "why_it_wraps"]', '["reading"]', ["a reading has no name"]),
        (
            '+++ {"tags": ["reading", "why_it_wraps"]}',
            "+++",
            ["the rubric's reading 'why_it_wraps' has no cell"],
        ),
        ("[exercise, doubling]", "[exercise, sums]", ["'sums' has two cells"]),
        (":tags: [exercise, doubling]\n", "", ["'### BEGIN SOLUTION' stands outside an exercise"]),
        ("    ### END SOLUTION\n", "", ["'### BEGIN SOLUTION' has no partner"]),
        ("    ### BEGIN SOLUTION\n", "", ["'### END SOLUTION' has no partner"]),
        ("### BEGIN SOLUTION", "# begin solution", ["'# begin solution' is not a marker"]),
        ("total = 1 + 1\n", "### BEGIN HIDDEN TESTS\n", ["outside an exercise", "Put it in the rubric."]),
        ("```{code-cell} ipython3\ntotal", "```{codecell} ipython3\ntotal", ["a code cell is read as text"]),
        ("RATE = 200", "RATE = 200\n```\n\n```{raw-cell}\nx", ["raw cells are not used"]),
        ("def check", ":tags: [parameters]\n\ndef check", ["there are two parameters cells"]),
        (
            "    doubled_by_addition = number + number\n    return doubled_by_addition\n",
            "",
            ["an exercise's solution is empty"],
        ),
        (
            "    ### BEGIN SOLUTION\n    doubled_by_addition = number + number\n",
            "    doubled_by_addition = number + number\n",
            ["has no partner"],
        ),
    ],
)
def test_what_does_not_fit_is_refused(small_course, old, new, words):
    small_course.edit_source(old, new)
    with pytest.raises(WorkbookError) as refused:
        derive(small_course.adding)
    for word in ["01_adding.md, line", *words]:
        assert word in str(refused.value)


def test_two_sources_of_one_lab_are_refused(small_course):
    small_course.write("weeks/week01_more/source/03_adding.md", "")
    with pytest.raises(WorkbookError, match="Two sources are the lab 'week01/adding'"):
        generate(small_course)


def give_it_a_model(course):
    course.edit_source("minutes: 20", "minutes: 20\n  assets: [digits/model.bin]")
    course.write("build/models/digits/model.bin", "weights")


def test_the_tree_holds_what_is_listed_and_nothing_else(small_course, capsys):
    give_it_a_model(small_course)
    small_course.write("weeks/week01_numbers/01_adding/__pycache__/adder.pyc", "")
    small_course.write("weeks/week01_numbers/solutions.py", "")
    small_course.write("build/nbgrader/source/week00_old/old.ipynb", "")
    assert main(["--tree"]) == 0
    tree = small_course.build / "nbgrader/source"
    assert {str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file()} == {
        "week01_numbers/01_adding.ipynb",
        "week01_numbers/01_adding/adder.py",
        "week01_numbers/01_adding/data/numbers.csv",
        "week01_numbers/01_adding/model.bin",
    }
    assert "laid build/nbgrader/source" in capsys.readouterr().out
    assert [path.name for path in tree.parent.iterdir()] == ["source"]


def test_a_prepared_file_that_was_not_made_is_named(small_course, capsys):
    give_it_a_model(small_course)
    (small_course.build / "models/digits/model.bin").unlink()
    assert main(["--tree"]) == 1
    assert "Run `make model`" in capsys.readouterr().err


def test_a_prepared_file_must_not_hide_a_stub(small_course, capsys):
    give_it_a_model(small_course)
    small_course.write("weeks/week01_numbers/01_adding/model.bin", "")
    assert main(["--tree"]) == 1
    assert "two files named model.bin" in capsys.readouterr().err
