"""Step one of grading: runs a learner's notebook with checks that say nothing, and keeps plain data of it.

`KernelRunner` starts a fresh kernel in a process of its own. It does not isolate: what the notebook runs can
read whatever the grader can. A runner that does fits behind the same `NotebookRunner`.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import nbformat
from nbformat import NotebookNode

import autograder
from autograder.nbgrading.records import Problem, Status
from labkit.processes import Process

_GRACE_SECONDS = 20

STUB = '''"""Stands in for the course's checks while a submission runs: judging is done from outside."""

import sys


class _NothingBelow:
    """An installed workbook would answer for `autograder.rubrics`: here there is nothing but `check`."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.startswith("autograder."):
            raise ModuleNotFoundError(f"No module named {name!r} while work is graded", name=name)


sys.meta_path.insert(0, _NothingBelow)


def check(*_args, **_kwargs):
    """Say nothing and be worth nothing."""
    return 0.0
'''


@dataclass(frozen=True)
class RunLimits:
    """What running one notebook may take.

    Attributes:
        seconds: The wall clock, for all cells together.
        output_bytes: All outputs together; the rest is dropped.
    """

    seconds: float = 120.0
    output_bytes: int = 2_000_000


@dataclass(frozen=True)
class NotebookRun:
    """How running a notebook ended.

    Attributes:
        notebook: With its outputs as far as it came; untrusted.
        problem: Why it did not come to its end; None if it did.
        seconds: How long it took.
    """

    notebook: NotebookNode
    problem: Problem | None
    seconds: float


class NotebookRunner(Protocol):
    """Runs untrusted notebooks; the one place where a learner's notebook code runs during grading."""

    def run(self, notebook: NotebookNode, folder: Path, limits: RunLimits) -> NotebookRun:
        """Run a sanitised notebook with `folder`, a copy that it may change, as the current folder."""
        ...


class KernelRunner:
    """A fresh kernel of this interpreter in a process of its own, with limits and without isolation."""

    def run(self, notebook: NotebookNode, folder: Path, limits: RunLimits) -> NotebookRun:
        """Run the notebook, then end all that it started."""
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="workbook-run-") as scratch:
            place = Path(scratch)
            stub = place / "stub" / "autograder"
            stub.mkdir(parents=True)
            (stub / "__init__.py").write_text(STUB)
            nbformat.write(notebook, place / "submitted.ipynb")
            process = Process(
                [
                    sys.executable,
                    "-P",
                    "-m",
                    "autograder.nbgrading.execute",
                    place,
                    folder,
                    json.dumps(vars(limits)),
                ],
                cwd=place,  # with -P: nothing of the learner's is imported here
                environment=_environment(stub.parent),
                log=place / "log",
            )
            try:
                deadline = started + limits.seconds + _GRACE_SECONDS
                while process.exit_code is None and time.monotonic() < deadline:
                    time.sleep(0.02)
            finally:
                process.stop()
            executed, problem = _ended(place, notebook, limits)
        return NotebookRun(executed, problem, round(time.monotonic() - started, 3))


def _environment(stub: Path) -> dict[str, str]:
    inherited = os.environ.get("PYTHONPATH", "")
    root = str(Path(autograder.__file__).parent.parent)
    return {
        "PYTHONPATH": os.pathsep.join(filter(None, [root, inherited])),
        # For the kernel: the stub stands before the package of the same name.
        "WORKBOOK_KERNEL_PATH": os.pathsep.join(filter(None, [str(stub), inherited])),
        "NBGRADER_EXECUTION": "autograde",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _ended(place: Path, notebook: NotebookNode, limits: RunLimits) -> tuple[NotebookNode, Problem | None]:
    """What the child left behind, read as data that may be anything."""
    try:
        said = json.loads((place / "ended.json").read_text())
        executed = nbformat.read(place / "executed.ipynb", as_version=4)
    except (OSError, ValueError, nbformat.ValidationError):
        lines = (place / "log").read_text(errors="replace").strip().splitlines() if place.exists() else []
        detail = lines[-1][:300] if lines else "nothing was left behind"
        return notebook, Problem(
            status=Status.CRASHED, message="The notebook could not be run to its end.", detail=detail
        )
    return executed, _problem(said, limits)


def _problem(said: dict[str, str], limits: RunLimits) -> Problem | None:
    where = f" in cell {said['cell']}" if said.get("cell") else ""
    if said["ended"] == "timeout":
        message = f"The notebook ran longer than {limits.seconds:g} s and was stopped{where}."
        return Problem(status=Status.TIMEOUT, message=message)
    if said["ended"] == "crashed":
        message = f"The notebook's Python process ended{where} before the notebook did."
        return Problem(status=Status.CRASHED, message=message, detail=said.get("detail", ""))
    return None
