"""Seconds for step one of a submission, in each way to run its notebook: `python -m benchmarks sandboxes`."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from autograder.nbgrading.runner import KernelRunner, NotebookRunner, RunLimits, SandboxRunner
from autograder.nbgrading.zygote_runner import ZygoteRunner
from benchmarks.table import Row

LIGHT = [f"total = sum(range({n}))\nprint(total)" for n in range(8)]
HEAVY = [
    "import numpy as np\nimport torch",
    "model = torch.nn.Sequential(torch.nn.Linear(20, 16), torch.nn.ReLU(), torch.nn.Linear(16, 1))",
    "optimizer = torch.optim.Adam(model.parameters())",
    *["loss = model(torch.randn(64, 20)).pow(2).mean()\nloss.backward()\noptimizer.step()"] * 7,
    *["np.linalg.svd(np.random.rand(60, 60))[1].sum()"] * 10,
]


def step_one(repetitions: int) -> Iterator[Row]:
    """Light (8 cells) and heavy (20 cells with numpy and torch), one after another."""
    forked = ZygoteRunner()
    began = time.monotonic()
    _seconds(forked, LIGHT)
    yield Row("a forked sandbox: loading, once, with the first notebook", [time.monotonic() - began], "s")
    runners: dict[str, NotebookRunner] = {
        "no sandbox, fresh kernel": KernelRunner(),
        "fresh sandbox, fresh kernel": SandboxRunner(),
        "forked sandbox": forked,
    }
    try:
        for size, sources in (("light", LIGHT), ("heavy", HEAVY)):
            for name, runner in runners.items():
                found = [_seconds(runner, sources) for _ in range(repetitions)]
                yield Row(f"step one, {size}, {name}", found, "s a notebook")
    finally:
        forked.close()


def _seconds(runner: NotebookRunner, sources: list[str]) -> float:
    cells = [nbformat.v4.new_code_cell(source, id=f"cell-{at}") for at, source in enumerate(sources)]
    notebook: NotebookNode = nbformat.v4.new_notebook(cells=cells)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "work"
        folder.mkdir()
        ran = runner.run(notebook, folder, RunLimits())
    if ran.problem is not None:
        raise RuntimeError(ran.problem.reason)
    return ran.seconds
