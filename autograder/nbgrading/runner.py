"""Step one of grading: runs a learner's notebook with checks that say nothing, and keeps plain data of it.

`SandboxRunner` runs it where it sees none of this machine's files but programs, and has no network; it is the
reference that the faster `zygote_runner.ZygoteRunner` is held against. `KernelRunner` does not isolate: what
the notebook runs can read whatever the grader can. `choose_runner` gives an isolated one, or refuses.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import nbformat
from nbformat import NotebookNode

import autograder
import labkit
from autograder.nbgrading import execute
from autograder.nbgrading.files import Limits as FileLimits
from autograder.nbgrading.files import copy_plain
from autograder.nbgrading.records import Problem, Status
from labkit.errors import Unavailable, WorkbookError, WorkFault
from labkit.isolation import janitor
from labkit.isolation.files import read_plain
from labkit.isolation.isolation import NOT_ISOLATED, isolation_here
from labkit.isolation.limits import MIB, Limits
from labkit.isolation.mounts import HOME, Shown
from labkit.isolation.sandbox import Sandbox, probe
from labkit.processes import Process

_GRACE_SECONDS = 20
_OWN_BYTES = 20 * MIB
"""What the executed notebook may take beside its outputs."""
_INSIDE = "/workbook"
_OUT = "/tmp"  # noqa: S108 (the sandbox's own)

STUB = '''"""Stands in for the course's checks while a submission runs: judging is done from outside."""

import sys


class _NothingBelow:
    """An installed workbook would answer for `autograder.rubrics`: here there is nothing but these."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.startswith("autograder."):
            raise ModuleNotFoundError(f"No module named {name!r} while work is graded", name=name)


sys.meta_path.insert(0, _NothingBelow)


def check(*_args, **_kwargs):
    """Say nothing and be worth nothing."""
    return 0.0


def hint(*_args, **_kwargs):
    """Say nothing."""
'''


@dataclass(frozen=True)
class RunLimits:
    """What running one notebook may take.

    Attributes:
        seconds: The wall clock, for all cells together.
        output_bytes: All outputs together; the rest is dropped.
        memory_bytes: In a sandbox: all its processes together.
        processes: In a sandbox: processes and threads at a time.
        disk_bytes: In a sandbox: all files that it writes.
        files: In a sandbox: how many it may make.
    """

    seconds: float = 120.0
    output_bytes: int = 2_000_000
    memory_bytes: int = 2048 * MIB
    processes: int = 256
    disk_bytes: int = 256 * MIB
    files: int = 5_000


@dataclass(frozen=True)
class NotebookRun:
    """How running a notebook ended.

    Attributes:
        notebook: With its outputs as far as it came; untrusted.
        problem: Why it did not come to its end; None if it did.
        seconds: How long it took.
        isolation: How it was kept apart, in words.
        remarks: What of its files was not taken.
    """

    notebook: NotebookNode
    problem: Problem | None
    seconds: float
    isolation: str = str(NOT_ISOLATED)
    remarks: Sequence[str] = ()


class NotebookRunner(Protocol):
    """Runs untrusted notebooks; the one place where a learner's notebook code runs during grading."""

    def run(self, notebook: NotebookNode, folder: Path, limits: RunLimits) -> NotebookRun:
        """Run a sanitised notebook with `folder`, a copy that it may change, as the current folder."""
        ...


def choose_runner(*, unisolated: bool = False, fresh: bool = False) -> NotebookRunner:
    """The runner for this machine; what has a method `close` wants it called at the end.

    Args:
        fresh: Whether each notebook gets a fresh kernel, rather than a fork of a loaded process.
        unisolated: Whether to run learners' code as ourselves where there is no sandbox.

    Raises:
        Unavailable: There is no sandbox, and `unisolated` was not asked for.
    """
    try:
        isolation_here()
        probe()
    except Unavailable as error:
        if unisolated:
            return KernelRunner()
        raise Unavailable(
            "Learners' code can't be run safely here.",
            why=str(error),
            next_step="If you trust every submission: workbook grade --unisolated.",
        ) from error
    if fresh:
        return SandboxRunner()
    from autograder.nbgrading.zygote_runner import ZygoteRunner

    return ZygoteRunner()


def can_isolate() -> bool:
    """Whether there is a sandbox on this machine."""
    try:
        isolation_here()
        probe()
    except Unavailable:
        return False
    return True


class SandboxRunner:
    """A fresh kernel in a fresh sandbox for each notebook."""

    def run(self, notebook: NotebookNode, folder: Path, limits: RunLimits) -> NotebookRun:
        """Run the notebook, end all that it started, and take over the plain files that it left."""
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix=janitor.prefix("run")) as scratch:
            place = Path(scratch)
            lay_stub(place)
            nbformat.write(notebook, place / "submitted.ipynb")
            try:
                sandbox = Sandbox(
                    [
                        *(sys.executable, "-P", f"{_INSIDE}/execute.py"),
                        *(f"{_INSIDE}/submitted.ipynb", _OUT, HOME, json.dumps(vars(limits))),
                    ],
                    log=place / "log",
                    folder=folder,
                    environment={"PYTHONPATH": _INSIDE, **VARIABLES},
                    limits=sandbox_limits(limits),
                    shown=[
                        *what_notebooks_see(place),
                        Shown(place / "submitted.ipynb", f"{_INSIDE}/submitted.ipynb"),
                        Shown(Path(execute.__file__), f"{_INSIDE}/execute.py"),
                    ],
                )
            except WorkFault as error:
                refused = Problem(status=Status.INVALID, message=str(error))
                return NotebookRun(notebook, refused, round(time.monotonic() - started, 3))
            with sandbox:
                in_time = sandbox.wait(limits.seconds + _GRACE_SECONDS)
                sandbox.stop()
                executed, said = _ended(sandbox.scratch, place / "log", notebook, limits)
                problem = why_it_ended(said, limits, sandbox.memory_ran_out, in_time=in_time)
                remarks, left = take_over(sandbox.home, folder, limits)
                isolation = str(sandbox.isolation)
        seconds = round(time.monotonic() - started, 3)
        return NotebookRun(executed, problem or left, seconds, isolation, remarks)


class KernelRunner:
    """A fresh kernel of this interpreter in a process of its own, with limits and without isolation."""

    def run(self, notebook: NotebookNode, folder: Path, limits: RunLimits) -> NotebookRun:
        """Run the notebook, then end all that it started."""
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix=janitor.prefix("run")) as scratch:
            place = Path(scratch)
            stub = lay_stub(place)
            nbformat.write(notebook, place / "submitted.ipynb")
            process = Process(
                [
                    *(sys.executable, "-P", "-m", "autograder.nbgrading.execute"),
                    *(place / "submitted.ipynb", place, folder, json.dumps(vars(limits))),
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
            executed, problem = _ended(place, place / "log", notebook, limits)
        return NotebookRun(executed, problem, round(time.monotonic() - started, 3))


VARIABLES = {"NBGRADER_EXECUTION": "autograde", "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}


def _environment(stub: Path) -> dict[str, str]:
    inherited = os.environ.get("PYTHONPATH", "")
    root = str(Path(autograder.__file__).parent.parent)
    return {
        "PYTHONPATH": os.pathsep.join(filter(None, [root, inherited])),
        # For the kernel: the stub stands before the package of the same name.
        "WORKBOOK_KERNEL_PATH": os.pathsep.join(filter(None, [str(stub), inherited])),
        **VARIABLES,
    }


# ---- what goes in ----------------------------------------------------------------------------------------


def lay_stub(place: Path) -> Path:
    """Write the package that stands in for `autograder`; gives its folder."""
    stub = place / "stub" / "autograder"
    stub.mkdir(parents=True)
    (stub / "__init__.py").write_text(STUB)
    return stub


def what_notebooks_see(place: Path) -> list[Shown]:
    """The packages that notebooks stand on, and the inert checks: nothing of rubrics or answers."""
    return [
        Shown(Path(labkit.__file__).parent, f"{_INSIDE}/labkit"),
        Shown(place / "stub" / "autograder", f"{_INSIDE}/autograder"),
    ]


def sandbox_limits(limits: RunLimits) -> Limits:
    """The same limits as a sandbox takes them; the clock is stopped by whoever runs the notebook."""
    return Limits(
        seconds=limits.seconds + _GRACE_SECONDS,
        memory_bytes=limits.memory_bytes,
        processes=limits.processes,
        disk_bytes=limits.disk_bytes,
        files=limits.files,
    )


# ---- what comes out: data that may be anything -------------------------------------------------------------


def take_over(home: Path, folder: Path, limits: RunLimits) -> tuple[list[str], Problem | None]:
    """Put the plain files that a notebook left in the place of those that it found.

    Returns:
        What was left out, and what stood in the way; the folder is as it was then.
    """
    fresh = folder.with_name(f"{folder.name}.fresh")
    try:
        copied = copy_plain(home, fresh, FileLimits(files=limits.files, total_bytes=limits.disk_bytes))
    except (WorkbookError, OSError) as error:
        shutil.rmtree(fresh, ignore_errors=True)
        message = f"What the notebook left behind could not be taken: {error}"
        return [], Problem(status=Status.CRASHED, message=message)
    shutil.rmtree(folder)
    fresh.rename(folder)
    return copied.left_out, None


def why_it_ended(
    problem: Problem | None, limits: RunLimits, memory_ran_out: bool, *, in_time: bool = True
) -> Problem | None:
    """The problem with its cause, where the sandbox knows it better than the process inside."""
    if not in_time:
        message = f"The notebook ran longer than {limits.seconds:g} s and was stopped."
        return Problem(status=Status.TIMEOUT, message=message)
    if problem and problem.status is Status.CRASHED and memory_ran_out:
        message = (
            f"The notebook needed more memory than the {limits.memory_bytes // MIB} MiB that it may use."
        )
        return Problem(status=Status.CRASHED, message=message, detail=problem.message)
    return problem


def _ended(
    out: Path, log: Path, notebook: NotebookNode, limits: RunLimits
) -> tuple[NotebookNode, Problem | None]:
    """What the process left behind: the notebook with its outputs, and why it did not come to its end."""
    said = _json(read_plain(out / "ended.json", 10_000))
    executed = _notebook(_json(read_plain(out / "executed.ipynb", limits.output_bytes * 2 + _OWN_BYTES)))
    if not isinstance(said, dict) or executed is None:
        lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
        detail = lines[-1][:300] if lines else "nothing was left behind"
        return notebook, Problem(
            status=Status.CRASHED, message="The notebook could not be run to its end.", detail=detail
        )
    return executed, problem_of(said, limits)


def _json(content: bytes | None) -> object:
    try:
        return json.loads(content) if content is not None else None
    except (ValueError, RecursionError):
        return None


def _notebook(value: object) -> NotebookNode | None:
    """The notebook that a JSON value is; None if it is none."""
    if not isinstance(value, dict) or value.get("nbformat") != nbformat.v4.nbformat:
        return None
    try:
        notebook = nbformat.v4.to_notebook(value)
        nbformat.validate(notebook)
    except Exception:  # whatever a forged one brings nbformat to
        return None
    return notebook


def problem_of(said: dict[str, object], limits: RunLimits) -> Problem | None:
    """What a process said of how it ended, as a problem; what it says is not trusted to be text."""
    cell = str(said.get("cell", ""))
    where = f" in cell {cell}" if cell.isascii() and cell.isdigit() and len(cell) < 8 else ""
    if said.get("ended") == "timeout":
        message = f"The notebook ran longer than {limits.seconds:g} s and was stopped{where}."
        return Problem(status=Status.TIMEOUT, message=message)
    if said.get("ended") == "crashed":
        message = f"The notebook's Python process ended{where} before the notebook did."
        return Problem(status=Status.CRASHED, message=message, detail=str(said.get("detail", ""))[:300])
    return None
