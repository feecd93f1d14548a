"""Step one: notebooks run with inert checks, within limits, and leave nothing running, however isolated."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import psutil
import pytest

from autograder.loading import load_rubric
from autograder.nbgrading.preparing import needs_run, to_run
from autograder.nbgrading.records import Status
from autograder.nbgrading.runner import (
    KernelRunner,
    NotebookRun,
    NotebookRunner,
    RunLimits,
    SandboxRunner,
    can_isolate,
    choose_runner,
)
from autograder.nbgrading.zygote_runner import ZygoteRunner
from autograder.notebooks import derive
from autograder.validate import answers_of
from labkit.course import find_course
from labkit.errors import Unavailable
from labkit.isolation import isolation

LEAVES_A_CHILD = """
import os, subprocess, sys
daemon = "import os, time; os.fork() and os._exit(0); print(os.getpid(), flush=True); time.sleep(99)"
child = subprocess.Popen([sys.executable, "-c", daemon], stdout=subprocess.PIPE, text=True)
open("pid.txt", "w").write(child.stdout.readline())
"""
needs_a_sandbox = pytest.mark.skipif(
    not can_isolate(), reason="there is no sandbox (apt-get install bubblewrap)"
)


@pytest.fixture(scope="module")
def runners() -> Iterator[dict[str, NotebookRunner]]:
    """All three; the loaded process of one serves the whole module."""
    zygote = ZygoteRunner()
    yield {"kernel": KernelRunner(), "fresh": SandboxRunner(), "forked": zygote}
    zygote.close()


@pytest.fixture(
    params=["kernel", *(pytest.param(name, marks=needs_a_sandbox) for name in ("fresh", "forked"))]
)
def runner(request, runners) -> NotebookRunner:
    return runners[request.param]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "work"
    made.mkdir()
    return made


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


def test_runs_to_the_end_with_inert_checks_and_leaves_nothing_running(runner, folder) -> None:
    (folder / "nbformat.py").write_text("raise SystemExit('the learners file was imported')")
    ran = runner.run(
        notebook_of(
            "from autograder import check\ncheck('week11/fastapi_server', 'latency')",
            "import autograder.rubrics",
            "raise ValueError('after this it goes on')",
            LEAVES_A_CHILD,
            "print('x' * 3_000_000)",
            "print('more')",
        ),
        folder,
        RunLimits(seconds=60, output_bytes=100_000),
    )
    assert ran.problem is None
    assert texts(ran.notebook, 1) == "0.0"
    assert texts(ran.notebook, 2) == "ModuleNotFoundError"
    assert texts(ran.notebook, 3) == "ValueError"
    assert "too much output" in texts(ran.notebook, 5)
    assert texts(ran.notebook, 6) == ""
    pid = int((folder / "pid.txt").read_text())
    if isinstance(runner, KernelRunner):
        assert ran.isolation.startswith("not isolated")
        assert not psutil.pid_exists(pid)
    else:
        assert ran.isolation.startswith("sandbox: ")


def test_what_takes_too_long_is_stopped(runner, folder) -> None:
    ran = runner.run(
        notebook_of("open('made.txt', 'w').write('made')", "print('so far')\nwhile True: pass"),
        folder,
        RunLimits(seconds=3),
    )
    assert ran.problem is not None
    assert ran.problem.status is Status.TIMEOUT
    assert ran.problem.message == "The notebook ran longer than 3 s and was stopped in cell 2."
    assert (folder / "made.txt").read_text() == "made"


@pytest.mark.parametrize(
    "ending", ["import os\nos._exit(0)", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"]
)
def test_a_process_that_ends_is_said(runner, folder, ending: str) -> None:
    ran = runner.run(notebook_of("1 + 1", ending), folder, RunLimits(seconds=30))
    assert ran.problem is not None
    assert ran.problem.status is Status.CRASHED
    assert ran.problem.message == "The notebook's Python process ended in cell 2 before the notebook did."


def test_what_is_no_plain_file_is_left_out_and_named(runner, folder) -> None:
    if isinstance(runner, KernelRunner):
        pytest.skip("its folder is taken over by whoever asked for the run")
    ran = runner.run(
        notebook_of(
            "import os\nos.symlink('/etc/passwd', 'link')\nos.mkfifo('pipe')\nopen('made', 'w').close()"
        ),
        folder,
        RunLimits(seconds=30),
    )
    assert ran.problem is None
    assert sorted(path.name for path in folder.iterdir()) == ["made"]
    assert list(ran.remarks) == [
        "link was left out: it is a link.",
        "pipe was left out: it is not a plain file.",
    ]


# ---- both ways to isolate come to the same -----------------------------------------------------------------

SAME = {
    "values": ["1 + 1", "_ + 1", "'text'", "None", "x = 3; x", "import sys\nlen(sys.argv), __name__"],
    "streams": ["print('a'); print('b')", "import sys\nprint('to stderr', file=sys.stderr)\nprint('c')"],
    "errors": ["1 / 0", "def f(:", "raise SystemExit(3)", "raise KeyboardInterrupt", "undefined", "%nomagic"],
    "async": ["import asyncio\nawait asyncio.sleep(0, 7)", "asyncio.run(asyncio.sleep(0))"],
    "shell": ["!echo from the shell", "out = !echo captured\nout[0]", "%pwd", "%%bash\necho cell magic"],
    "displays": [
        "from IPython.display import display, clear_output, Markdown\ndisplay(Markdown('*m*'), 5)",
        "print('gone')\nclear_output()\nprint('stays')",
    ],
    "input": ["input('?')"],
    "files": [
        "from pathlib import Path\nPath('a').mkdir()\nPath('a/b').write_text('c')",
        "open('given').read()",
    ],
    "numbers": [
        "import torch\nprint(torch.manual_seed(3).initial_seed(), torch.rand(3))",
        "import numpy as np\nnp.random.seed(3); print(np.random.rand(2))",
        "model = torch.nn.Linear(3, 1)\noptimizer = torch.optim.Adam(model.parameters())\n"
        "loss = model(torch.ones(2, 3)).sum()\nloss.backward()\noptimizer.step()\n"
        "open('weights', 'w').write(str([p.tolist() for p in model.parameters()]))",
    ],
    "plot": ["import matplotlib.pyplot as plt\n_ = plt.plot([1, 2])"],
    "modules": [
        "open('helper.py', 'w').write('VALUE = 9')",
        "import helper\nhelper.VALUE",
        "import labkit.verdicts",
    ],
    "pickles": ["class C: pass", "import pickle\npickle.loads(pickle.dumps(C())).__class__.__name__"],
}


def shape(ran: NotebookRun, folder: Path) -> tuple[object, ...]:
    """What a run came to: its status, the files it left, and its outputs without what differs by chance."""
    outputs = []
    for cell in ran.notebook.cells:
        streams = {"stdout": "", "stderr": ""}  # a kernel sends each when it comes to it
        others = []
        for out in cell.outputs:
            if out.output_type == "stream":
                streams[out.name] += out.text.replace("\r", "")
            else:
                data = out.get("data", {})
                others.append((out.output_type, out.get("ename"), sorted(data), data.get("text/plain")))
        outputs.append((streams, others))
    files = {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    return ran.problem and ran.problem.status, files, outputs


@needs_a_sandbox
@pytest.mark.parametrize("name", SAME)
def test_a_fork_and_a_fresh_kernel_come_to_the_same(runners, tmp_path, name: str) -> None:
    found = {}
    for way in ("fresh", "forked"):
        folder = tmp_path / way
        folder.mkdir()
        (folder / "given").write_text("given")
        ran = runners[way].run(notebook_of(*SAME[name]), folder, RunLimits(seconds=60))
        found[way] = shape(ran, folder)
    assert found["forked"] == found["fresh"]


@pytest.mark.nightly
@needs_a_sandbox
@pytest.mark.parametrize("lab", find_course(Path(__file__)).labs, ids=lambda lab: lab.id)
def test_every_answer_s_notebook_comes_to_the_same(runners, tmp_path, lab) -> None:
    notebook = to_run(derive(lab))
    answers = answers_of(load_rubric(lab)) if needs_run(notebook) else answers_of(load_rubric(lab))[:1]
    for answer in answers:
        found = {}
        for way in ("fresh", "forked"):
            folder = answer.lay(tmp_path / answer.name / way / lab.assignment)
            ran = runners[way].run(notebook, folder, RunLimits(seconds=300, memory_bytes=4 << 30))
            status, files, _ = shape(ran, folder)
            found[way] = (status, sorted(files))
        assert found["forked"] == found["fresh"], answer.name


# ---- which one ---------------------------------------------------------------------------------------------


def test_without_a_sandbox_it_is_refused_unless_asked_for_by_name(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    isolation.require.cache_clear()
    try:
        with pytest.raises(Unavailable, match=r"can't be run safely here.*--unisolated"):
            choose_runner()
        assert isinstance(choose_runner(unisolated=True), KernelRunner)
    finally:
        monkeypatch.undo()
        isolation.require.cache_clear()


@needs_a_sandbox
def test_with_a_sandbox_it_is_used() -> None:
    assert isinstance(choose_runner(), ZygoteRunner)
    assert isinstance(choose_runner(unisolated=True, fresh=True), SandboxRunner)


@needs_a_sandbox
def test_no_two_forks_begin_with_the_same_random_numbers(runners, tmp_path) -> None:
    source = "import random, numpy, torch\nprint(random.random(), numpy.random.rand(), torch.rand(1).item())"
    numbers: list[str] = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        ran = runners["forked"].run(notebook_of(source), tmp_path / name, RunLimits(seconds=60))
        numbers += texts(ran.notebook, 1).split()
    assert len(set(numbers)) == 6


@needs_a_sandbox
def test_what_no_released_notebook_names_is_not_loaded_beforehand_and_can_be_imported(folder) -> None:
    runner = ZygoteRunner()
    runner.expect([notebook_of("total = sum(range(3))")])
    assert runner.modules == set()
    sources = [
        "import sys; open('loaded.txt', 'w').write(str('torch' in sys.modules))",
        "import torch; open('sum.txt', 'w').write(str(int(torch.ones(3).sum())))",
    ]
    try:
        ran = runner.run(notebook_of(*sources), folder, RunLimits())
    finally:
        runner.close()
    assert ran.problem is None
    assert (folder / "loaded.txt").read_text() == "False"
    assert (folder / "sum.txt").read_text() == "3"


def test_what_a_released_notebook_names_is_loaded_beforehand() -> None:
    runner = ZygoteRunner()
    runner.expect([notebook_of("1"), notebook_of("import torch")])
    assert runner.modules == {"torch"}


def test_a_worker_loads_nothing_of_the_exchange_and_of_the_gradebook_s_commands() -> None:
    code = "import sys, autograder.nbgrading.worker; print('autograder.nbgrading.chain' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"
