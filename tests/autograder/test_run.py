from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest
import typer

import autograder
from autograder.commands.run import run, value_of
from autograder.notebooks import derive
from autograder.run import parameters_of, run_notebook
from labkit.errors import WorkbookError

REPORT = """\
def check(lab, part):
    from datetime import UTC, datetime
    from pathlib import Path
    from autograder.results import Outcome, Report
    from autograder.workplace import Results
    from labkit.course import find_course
    from labkit.verdicts import Verdict

    verdict = Verdict.PASSED if "a + b" in Path("01_adding/adder.py").read_text() else Verdict.FAILED
    found = Outcome(check=part, title=part, verdict=verdict, points=2, maximum=2)
    report = Report(lab=lab, started=datetime.now(UTC), outcomes=[found])
    Results.of(Path.cwd()).keep(find_course().lab(lab), report)
    return 2.0
"""


@pytest.fixture
def course(small_course):
    small_course.edit_source("def check(*names):\n    return 2.0\n", REPORT)
    return small_course


def outputs(course):
    notebook = nbformat.read(course.build / "run/week01_numbers/01_adding.ipynb", as_version=4)
    return "".join(str(cell.get("outputs", "")) for cell in notebook.cells)


def test_the_reference_is_run_and_its_result_kept(course):
    course.edit_source("assert RATE > 0", "import sys\nprint(RATE, sys.executable)")
    cells = []
    result = run_notebook(course.adding, {"RATE": 300}, on_cell=cells.append)
    assert result.status == "completed"
    assert result.parameters == {"RATE": 300, "FAST": False}
    assert result.report is not None
    assert [o.verdict.value for o in result.report.outcomes] == ["passed", "passed"]
    assert f"300 {sys.executable}" in outputs(course)
    assert [(cell.number, cell.of) for cell in cells] == [(n, 8) for n in range(1, 9)]
    kept = json.loads((course.build / "run/week01-adding.json").read_text())
    assert kept["status"] == "completed"
    assert kept["notebook"] == "build/run/week01_numbers/01_adding.ipynb"
    assert kept["report"]["outcomes"][0]["check"] == "sums"
    assert not (course.build / "run/week01_numbers/01_adding/answer.toml").exists()


def test_a_learners_work_is_run_and_not_touched(course, tmp_path):
    work = tmp_path / "mine"
    (work / "01_adding").mkdir(parents=True)
    (work / "01_adding/adder.py").write_text("unfinished")
    result = run_notebook(course.adding, work=work)
    assert result.report is not None
    assert result.report.verdict.value == "failed"
    assert [path.name for path in work.iterdir()] == ["01_adding"]


def test_work_that_is_not_there_is_said(course, tmp_path):
    with pytest.raises(WorkbookError, match="There is no folder 01_adding"):
        run_notebook(course.adding, work=tmp_path)


def test_an_unknown_parameter_is_refused(course):
    with pytest.raises(WorkbookError, match=r"no parameter 'RATES'.*RATE, FAST.*Did you mean 'RATE'"):
        run_notebook(course.adding, {"RATES": 1})


def test_a_failing_cell_is_named(course):
    course.edit_source("total = 1 + 1\n```\n\n```{code-cell} ipython3\n:tags: [exercise", FAILING)
    with pytest.raises(WorkbookError) as failed:
        run_notebook(course.adding)
    assert "week01/adding: the cell [2] that begins with 'from pathlib" in failed.value.what
    assert "ZeroDivisionError: division by zero" in failed.value.why
    assert "build/run/week01_numbers/01_adding.ipynb" in failed.value.next_step
    kept = json.loads((course.build / "run/week01-adding.json").read_text())
    assert kept["status"] == "failed"
    assert "division by zero" in kept["error"]
    assert "ZeroDivisionError" in outputs(course)
    assert kept["report"] is None


FAILING = "total = 1 / 0\n```\n\n```{code-cell} ipython3\n:tags: [exercise"


def test_parameters_are_read_from_their_cell(course):
    course.edit_source("FAST = False", "FAST: bool = False\nSIZES = [1, 2]\nHERE = Path()")
    assert parameters_of(derive(course.adding)) == {
        "RATE": 200,
        "FAST": False,
        "SIZES": [1, 2],
        "HERE": "Path()",
    }


@pytest.mark.parametrize(
    ("text", "value"), [("3", 3), ("True", True), ("false", False), ("auto", "auto"), ("[1]", [1]), ("", "")]
)
def test_what_a_parameters_text_means(text, value):
    assert value_of(text) == value


def test_the_command_says_json_and_its_exit_code(course, capsys):
    with pytest.raises(typer.Exit) as left:
        run(["week01"], [("FAST", "true")], as_json=True)
    assert left.value.exit_code == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert result["parameters"]["FAST"] is True
    with pytest.raises(typer.Exit) as left:
        run(["week01"], [("NONE", "1")])
    assert left.value.exit_code == 2
    assert "no parameter 'NONE'" in capsys.readouterr().out


def test_ctrl_c_leaves_no_kernel(course):
    course.edit_source(
        "total = 1 + 1", "import os, time\nPath('pid').write_text(str(os.getpid()))\ntime.sleep(60)"
    )
    script = (
        "import sys; from pathlib import Path; import autograder.loading as loading\n"
        "loading.RUBRICS = Path('autograder/rubrics').resolve()\n"
        "from labkit.course import find_course; from autograder.run import run_notebook\n"
        "try: run_notebook(find_course().lab('week01/adding'))\n"
        "except KeyboardInterrupt: sys.exit(130)\n"
    )
    root = Path(autograder.__file__).parent.parent
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", script], cwd=course.root, env={**os.environ, "PYTHONPATH": str(root)}
    )
    try:
        file = course.build / "run/week01_numbers/pid"
        deadline = time.monotonic() + 25
        while not (file.is_file() and file.read_text()) and time.monotonic() < deadline:
            time.sleep(0.05)
        kernel = int(file.read_text())
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=15) == 130
        assert not psutil.pid_exists(kernel)
    finally:
        process.kill()
        process.wait()
    assert json.loads((course.build / "run/week01-adding.json").read_text())["status"] == "interrupted"
