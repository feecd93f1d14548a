"""Step one: notebooks run with inert checks, within limits, and leave nothing running."""

from __future__ import annotations

import time
from pathlib import Path

import nbformat
import psutil
import pytest

from autograder.nbgrading.records import Status
from autograder.nbgrading.runner import KernelRunner, RunLimits

LEAVES_A_CHILD = """
import os, subprocess, sys
daemon = "import os, time; os.fork() and os._exit(0); print(os.getpid(), flush=1); time.sleep(99)"
child = subprocess.Popen([sys.executable, "-c", daemon], stdout=subprocess.PIPE, text=True)
open("pid.txt", "w").write(child.stdout.readline())
"""


def notebook_of(*sources: str) -> nbformat.NotebookNode:
    cells = [nbformat.v4.new_code_cell(source, id=f"cell-{at}") for at, source in enumerate(sources, start=1)]
    return nbformat.v4.new_notebook(
        cells=cells, metadata={"kernelspec": {"name": "fortran", "display_name": "F"}}
    )


def texts(notebook: nbformat.NotebookNode, cell: int) -> str:
    outputs = notebook.cells[cell - 1].outputs
    return "".join(
        out.get("text", out.get("data", {}).get("text/plain", out.get("ename", ""))) for out in outputs
    )


def test_runs_to_the_end_with_inert_checks_and_leaves_nothing_running(tmp_path: Path) -> None:
    (tmp_path / "nbformat.py").write_text("raise SystemExit('the learners file was imported')")
    ran = KernelRunner().run(
        notebook_of(
            "from autograder import check\ncheck('week11/fastapi_server', 'latency')",
            "import autograder.rubrics",
            "raise ValueError('after this it goes on')",
            LEAVES_A_CHILD,
            "print('x' * 3_000_000)",
            "print('more')",
        ),
        tmp_path,
        RunLimits(seconds=60, output_bytes=100_000),
    )
    assert ran.problem is None
    assert texts(ran.notebook, 1) == "0.0"
    assert texts(ran.notebook, 2) == "ModuleNotFoundError"
    assert texts(ran.notebook, 3) == "ValueError"
    assert "too much output" in texts(ran.notebook, 5)
    assert texts(ran.notebook, 6) == ""
    assert not psutil.pid_exists(int((tmp_path / "pid.txt").read_text()))


def test_what_takes_too_long_is_stopped(tmp_path: Path) -> None:
    started = time.monotonic()
    ran = KernelRunner().run(
        notebook_of("open('made.txt', 'w').write('made')", "print('so far')\nwhile True: pass"),
        tmp_path,
        RunLimits(seconds=2),
    )
    assert ran.problem is not None
    assert ran.problem.status is Status.TIMEOUT
    assert ran.problem.message == "The notebook ran longer than 2 s and was stopped in cell 2."
    assert (tmp_path / "made.txt").read_text() == "made"
    assert time.monotonic() - started < 20


@pytest.mark.parametrize(
    "ending", ["import os\nos._exit(0)", "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)"]
)
def test_a_process_that_ends_is_said(tmp_path: Path, ending: str) -> None:
    ran = KernelRunner().run(notebook_of("1 + 1", ending), tmp_path, RunLimits(seconds=30))
    assert ran.problem is not None
    assert ran.problem.status is Status.CRASHED
    assert ran.problem.message
