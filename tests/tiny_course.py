"""A course of two small labs, complete with rubrics and answers: one judged by files, one made in cells."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest

from labkit.course import Course

ASSIGNMENT = "week99_tiny"
FILES, CELLS = "01_four_lines", "02_in_cells"

RUBRIC_FILES = '''
from autograder.rubric import after, credit, hidden, points, reading, require
from labkit.verdicts import Judgement, Verdict

WHY = reading("why", points=2, criteria=[(2, "names the cause")])


@points(4, hints=["Count the lines.", "Each line says right."])
def test_lines(submitted):
    """has four right lines"""
    path = submitted / "answer.txt"
    lines = path.read_text().split() if path.is_file() else []
    found = lines.count("right")
    if "break" in lines:
        raise RuntimeError("the check broke")
    credit(found, 4, f"{found} of 4 lines are right", cause="The others say something else.")


@after("test_lines")
@points(2)
def test_order(submitted):
    """starts with a right line"""
    require((submitted / "answer.txt").read_text().startswith("right"), "the first line is right")


@points(3)
def test_measured(submitted):
    """answers in time"""
    words = (submitted / "answer.txt").read_text() if (submitted / "answer.txt").is_file() else ""
    if "straddles" in words:
        require(Judgement(Verdict.INCONCLUSIVE, "p99 98 ms, between 91 and 107 (99 %)"))
    if "gpu" in words:
        require(Judgement(Verdict.NOT_MEASURED, "there is no GPU here"))
    require("slow" not in words and words, "p99 40 ms, at most 45 (99 %)", cause="It is <b>slow</b>.")


@hidden
@points(1)
def test_secret(submitted):
    """holds for inputs that you have not seen"""
    path = submitted / "answer.txt"
    require(path.is_file() and "hard-coded" not in path.read_text(), "the secret input 4711 was answered")
'''

RUBRIC_CELLS = '''
from autograder.rubric import points, require


@points(5)
def test_made(submitted):
    """the cell wrote made.txt"""
    path = submitted / "made.txt"
    require(path.is_file() and path.read_text() == "made", "made.txt says made")
'''

ANSWERS = {
    "reference": ("right\n" * 4, []),
    "right_words": ("right right right right\n", []),
    "wrong_half": ("right\nright\nwrong\nwrong\n", ["lines"]),
    "wrong_slow": ("right\n" * 4 + "slow\n", ["measured"]),
    "wrong_hard_coded": ("right\n" * 4 + "hard-coded\n", ["secret"]),
}


def _marks(name: str, **more: object) -> dict[str, object]:
    marks = {
        "schema_version": 3,
        "grade_id": name,
        "grade": False,
        "locked": False,
        "solution": False,
        "task": False,
    }
    return {"nbgrader": {**marks, **more}}


def _code(text: str, name: str, **more: object) -> nbformat.NotebookNode:
    return nbformat.v4.new_code_cell(text, id=name, metadata=_marks(name, **more))


def _text(text: str, name: str, **more: object) -> nbformat.NotebookNode:
    return nbformat.v4.new_markdown_cell(text, id=name, metadata=_marks(name, **more))


def _notebook(*cells: nbformat.NotebookNode, run: bool = False) -> nbformat.NotebookNode:
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return nbformat.v4.new_notebook(
        cells=list(cells), metadata={"kernelspec": kernel, "workbook": {"run": run}}
    )


def _files_notebook() -> nbformat.NotebookNode:
    checks = [("lines", 4), ("order", 2), ("measured", 3), ("secret", 1)]
    cells = [
        _code(
            f'check("week99/four_lines", "{name}")',
            f"week99-four_lines-{name}",
            grade=True,
            locked=True,
            points=worth,
        )
        for name, worth in checks
    ]
    return _notebook(
        nbformat.v4.new_markdown_cell("# Four right lines\n\nEdit `answer.txt`.", id="title"),
        nbformat.v4.new_code_cell("from autograder import check", id="import"),
        *cells,
        _text("Why did the third line miss?", "week99-four_lines-why-prompt", locked=True),
        _text("*Write your answer here.*", "week99-four_lines-why", grade=True, solution=True, points=2),
    )


def _cells_notebook() -> nbformat.NotebookNode:
    return _notebook(
        nbformat.v4.new_markdown_cell("# In cells", id="title"),
        nbformat.v4.new_code_cell("from pathlib import Path\n\nfrom autograder import check", id="import"),
        _code(
            f'### BEGIN SOLUTION\nPath("{CELLS}/made.txt").write_text("made")\n### END SOLUTION',
            "week99-in_cells-exercise-1",
            solution=True,
        ),
        _code('check("week99/in_cells", "made")', "week99-in_cells-made", grade=True, locked=True, points=5),
        run=True,
    )


def lay_course(root: Path, labs: tuple[str, ...] = (FILES, CELLS)) -> Course:
    """Write the course, nbgrader's source and the rubrics' answers below `root`."""
    week = root / "weeks" / ASSIGNMENT
    source = root / "build" / "nbgrader" / "source" / ASSIGNMENT
    source.mkdir(parents=True)
    handouts = {
        FILES: ("answer.txt", "wrong\n"),
        CELLS: ("readme.txt", "The notebook writes into this folder.\n"),
    }
    notebooks = {FILES: _files_notebook(), CELLS: _cells_notebook()}
    for name in labs:
        (week / "source").mkdir(parents=True, exist_ok=True)
        (week / "source" / f"{name}.md").write_text("# Source\n")
        (week / name).mkdir()
        file, text = handouts[name]
        (week / name / file).write_text(text)
        nbformat.write(notebooks[name], source / f"{name}.ipynb")
        shutil.copytree(week / name, source / name)
    lay_rubrics(root / "rubrics")
    return Course(root)


def lay_rubrics(rubrics: Path) -> None:
    """Write the rubrics and their answers."""
    folder = rubrics / ASSIGNMENT
    folder.mkdir(parents=True)
    (folder / f"test_{FILES}.py").write_text(RUBRIC_FILES)
    (folder / f"test_{CELLS}.py").write_text(RUBRIC_CELLS)
    for name, (text, loses) in ANSWERS.items():
        answer = folder / "answers" / FILES / name
        answer.mkdir(parents=True)
        (answer / "answer.txt").write_text(text)
        (answer / "answer.toml").write_text(f"loses = {loses!r}\n")


@contextmanager
def use_rubrics(course: Course) -> Iterator[None]:
    """Let the course's own rubrics stand in the place of the real ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("autograder.loading.RUBRICS", course.root / "rubrics")
        yield
