"""The same submissions for our grading, for stock nbgrader and otter-grader: a light and a heavy notebook."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from labkit.course import Course

ASSIGNMENT = "week98_bench"
LAB = "01_bench"

LIGHT_START = ["import json\nfrom pathlib import Path"]
LIGHT = {
    "squares": "squares = [n * n for n in range(10)]",
    "total": "total = sum(squares)",
    "words": "words = sorted('the quick brown fox'.split())",
}
HEAVY_START = [
    "import json\nfrom pathlib import Path",
    "import numpy as np\nimport torch\n\ntorch.manual_seed(1)\ngenerator = np.random.default_rng(1)",
]
HEAVY = {
    "matrix": "matrix = generator.normal(size=(200, 200))",
    "product": "product = float((matrix @ matrix.T).trace())",
    "largest": "largest = float(np.linalg.eigvalsh(matrix @ matrix.T)[-1])",
    "tensor": "tensor = torch.randn(256, 256)",
    "layer": "layer = torch.nn.Linear(256, 10)",
    "scores": "scores = layer(tensor)",
    "best": "best = int(scores.argmax(dim=1)[0])",
    "loss": "loss = float(torch.nn.functional.cross_entropy(scores, torch.zeros(256, dtype=torch.long)))",
}
TESTS = {
    "light": {
        "squares": "squares[3] == 9",
        "total": "total == 285",
        "words": "words[0] == 'brown'",
    },
    "heavy": {
        "matrix": "matrix.shape == (200, 200)",
        "product": "product > 0",
        "largest": "largest > 0",
        "tensor": "tuple(tensor.shape) == (256, 256)",
        "layer": "layer.out_features == 10",
        "scores": "tuple(scores.shape) == (256, 10)",
        "best": "0 <= best < 10",
        "loss": "loss > 0",
        "finite": "loss == loss",
    },
}
RECORDED = {
    "light": "{'squares': squares[3] == 9, 'total': total == 285, 'words': words[0] == 'brown'}",
    "heavy": "{name: True for name in ('matrix tensor layer').split()} | {'product': product > 0, "
    "'largest': largest > 0, 'scores': tuple(scores.shape) == (256, 10), 'best': 0 <= best < 10, "
    "'loss': loss > 0, 'finite': loss == loss}",
}
"""What the notebook writes down, for our rubric; a cell like the others for the other graders."""
CELLS = {"light": 8, "heavy": 20}

_CHECK = '''
@points(1)
def test_{name}(submitted):
    """{name}"""
    answers = json.loads((submitted / "answers.json").read_text())
    require(answers.get("{name}") is True, "{name} is right")
'''


@dataclass(frozen=True)
class Bench:
    """A course with submissions, and the same ones for stock nbgrader.

    Attributes:
        course: For our grading.
        rubrics: Its rubrics.
        stock: nbgrader's course directory, with its own tests in the cells.
        kind: `light` or `heavy`.
    """

    course: Course
    rubrics: Path
    stock: Path
    kind: str


def lay_bench(root: Path, kind: str) -> Bench:
    """Write both courses, not yet released."""
    rubrics = root / "rubrics"
    (rubrics / ASSIGNMENT).mkdir(parents=True)
    checks = "".join(_CHECK.format(name=name) for name in TESTS[kind])
    (rubrics / ASSIGNMENT / f"test_{LAB}.py").write_text(
        f"import json\n\nfrom autograder.rubric import points, require\n\n{checks}"
    )
    course = Course(root / "ours")
    week = course.root / "weeks" / ASSIGNMENT
    (week / "source").mkdir(parents=True)
    (week / "source" / f"{LAB}.md").write_text("# Benchmark\n")
    ours, stock = course.build / "nbgrader", root / "stock"
    for target, tests in ((ours, False), (stock, True)):
        source = target / "source" / ASSIGNMENT
        (source / LAB).mkdir(parents=True)
        (source / LAB / "readme.txt").write_text("The notebook writes into this folder.\n")
        nbformat.write(notebook(kind, tests=tests, solved=True), source / f"{LAB}.ipynb")
    return Bench(course, rubrics, stock, kind)


def hand_in(bench: Bench, learners: int) -> None:
    """Lay the submissions of so many learners beside both releases."""
    for root in (bench.course.build / "nbgrader", bench.stock):
        release = root / "release" / ASSIGNMENT
        solved = nbformat.read(root / "source" / ASSIGNMENT / f"{LAB}.ipynb", as_version=4)
        answers = {marks["grade_id"]: cell.source for cell in solved.cells if (marks := marks_of(cell))}
        for number in range(learners):
            folder = root / "submitted" / f"learner-{number:04}" / ASSIGNMENT
            shutil.copytree(release, folder)
            handed_in = nbformat.read(folder / f"{LAB}.ipynb", as_version=4)
            for cell in handed_in.cells:
                if marks_of(cell).get("solution"):
                    cell.source = answers[marks_of(cell)["grade_id"]]
            nbformat.write(handed_in, folder / f"{LAB}.ipynb")


def marks_of(cell: NotebookNode) -> dict[str, Any]:
    """Marks of nbgrader in a cell; empty if it has none."""
    return dict(cell.metadata.get("nbgrader", {}))


def notebook(kind: str, *, tests: bool, solved: bool) -> NotebookNode:
    """The notebook, with nbgrader's tests in its graded cells or with our check calls."""
    start, solutions = (LIGHT_START, LIGHT) if kind == "light" else (HEAVY_START, HEAVY)
    record = f"Path('{LAB}/answers.json').write_text(json.dumps({RECORDED[kind]}))"
    cells = [_cell(text, f"start-{place}") for place, text in enumerate(start)]
    if not tests:
        cells[0].source += "\n\nfrom autograder import check"
    cells += [
        _cell(f"### BEGIN SOLUTION\n{text}\n### END SOLUTION" if solved else text, name, solution=True)
        for name, text in solutions.items()
    ]
    cells.append(_cell(record, "record"))
    for name, test in TESTS[kind].items():
        text = f"assert {test}" if tests else f'check("week98/bench", "{name}")'
        cells.append(_cell(text, f"week98-bench-{name}", grade=True, locked=True, points=1))
    assert len(cells) == CELLS[kind]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel, "workbook": {"run": True}})


def otter_test(name: str, test: str) -> str:
    """One of otter-grader's tests, in the form of a file."""
    case = {"code": f">>> assert {test}", "hidden": False, "locked": False}
    suite = {"cases": [case], "scored": True, "setup": "", "teardown": "", "type": "doctest"}
    value = {"name": name, "points": 1, "suites": [suite]}
    return f"OK_FORMAT = True\n\ntest = {json.loads(json.dumps(value))!r}\n"


def _cell(text: str, name: str, **more: object) -> NotebookNode:
    marks = {"schema_version": 3, "grade_id": name, "grade": False, "locked": False, "solution": False}
    metadata = {"nbgrader": {**marks, "task": False, **more}} if more else {}
    return nbformat.v4.new_code_cell(text, id=name, metadata=metadata)
