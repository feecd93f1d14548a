"""Executes a lab's notebook from its first cell to its last, as CI and the course do, with papermill.

A run happens in `build/run/<assignment>/`, laid like a learner's copy with the reference answer over it (or
with a learner's own files), in a kernel of the interpreter that runs this. What it gives is kept beside it.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import nbformat
import papermill
import psutil
from filelock import FileLock, Timeout
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import DeadKernelError
from nbformat import NotebookNode
from pydantic import BaseModel, ConfigDict

import autograder
from autograder.files import write_atomically
from autograder.handouts import lay_handout
from autograder.loading import rubric_path
from autograder.notebooks import derive
from autograder.results import Report
from autograder.sources import nearest
from autograder.workplace import Results
from labkit.course import Course, Lab, find_course
from labkit.errors import WorkbookError
from labkit.processes import end

CELL_SECONDS = 900
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


class RunResult(BaseModel):
    """What became of a run, as `build/run/<lab>.json` holds it.

    Attributes:
        lab: Which lab.
        status: Whether every cell ran; what the checks found stands in `report`.
        seconds: How long it took.
        parameters: All of the notebook's parameters with the values that it ran with.
        notebook: The executed notebook.
        report: What the checks in it found, if one ran.
        error: What went wrong, in a sentence.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    lab: str
    status: Literal["completed", "failed", "interrupted"]
    seconds: float
    parameters: dict[str, Any]
    notebook: Path
    report: Report | None = None
    error: str = ""


@dataclass(frozen=True)
class CellStarted:
    """A code cell begins: the how many-eth of how many, and its first line."""

    number: int
    of: int
    text: str


def run_notebook(
    lab: Lab,
    parameters: Mapping[str, Any] | None = None,
    *,
    work: Path | None = None,
    course: Course | None = None,
    on_cell: Callable[[CellStarted], None] | None = None,
) -> RunResult:
    """Execute a lab's notebook in a folder of its own.

    Args:
        lab: Which lab.
        parameters: Values for names of its parameters cell.
        work: A learner's folder of the assignment, whose files (and notebook, if it is there) are run; by
            default the reference answer is.
        course: The course, the one around the current folder by default.
        on_cell: Told before each code cell.

    Returns:
        The result of a run in which every cell ran, also if checks failed.

    Raises:
        WorkbookError: The notebook has no such parameter, a cell failed (the result is kept), or the same
            lab is being run by another command.
    """
    course = course or find_course()
    given = dict(parameters or {})
    folder = course.build / "run" / lab.assignment
    result_path = course.build / "run" / f"{lab.id.replace('/', '-')}.json"
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(lab, result_path.with_suffix(".lock")):
        notebook = _notebook(lab, work)
        values = {**parameters_of(notebook), **given}
        _refuse_unknown(lab, notebook, given)
        _lay(lab, folder, work)
        results = Results.of(folder)
        results.report_path(lab).unlink(missing_ok=True)
        output = folder / f"{lab.name}.ipynb"
        begun = time.monotonic()

        def keep(status: Literal["completed", "failed", "interrupted"], error: str = "") -> RunResult:
            result = RunResult(
                lab=lab.id,
                status=status,
                seconds=round(time.monotonic() - begun, 3),
                parameters=values,
                notebook=output.relative_to(course.root),
                report=results.report(lab),
                error=error,
            )
            write_atomically(result_path, f"{result.model_dump_json(indent=1)}\n".encode())
            return result

        try:
            _execute(notebook, output, given, on_cell)
        except WorkbookError as error:
            keep("failed", str(error))
            raise WorkbookError(
                f"{lab.id}: {error.what}",
                why=error.why,
                next_step=f"See the executed notebook, {output.relative_to(course.root)}.",
            ) from error
        except KeyboardInterrupt:
            keep("interrupted", "It was interrupted.")
            raise
        return keep("completed")


def parameters_of(notebook: NotebookNode) -> dict[str, Any]:
    """The names that a notebook's parameters cell gives values to, and these values; {} if it has none."""
    found: dict[str, Any] = {}
    for cell in notebook.cells:
        if "parameters" not in cell.metadata.get("tags", []):
            continue
        for line in ast.parse(cell.source).body:
            if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name):
                name, value = line.targets[0].id, line.value
            elif isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name) and line.value:
                name, value = line.target.id, line.value
            else:
                continue
            try:
                found[name] = ast.literal_eval(value)
            except ValueError:
                found[name] = ast.unparse(value)
    return found


# ---- laying -----------------------------------------------------------------------------------------------


def _notebook(lab: Lab, work: Path | None) -> NotebookNode:
    """The learner's notebook if they have one, else the lab's with its solutions."""
    if work is not None and (work / f"{lab.name}.ipynb").is_file():
        return nbformat.read(work / f"{lab.name}.ipynb", as_version=4)
    return derive(lab)


def _refuse_unknown(lab: Lab, notebook: NotebookNode, given: Mapping[str, Any]) -> None:
    known = parameters_of(notebook)
    for name in given:
        if name not in known:
            why = f"Its parameters are: {', '.join(known)}." if known else "It has no parameters."
            close = nearest(name, list(known))
            raise WorkbookError(
                f"{lab.id} has no parameter {name!r}.",
                why=why,
                next_step=close if close.startswith("Did") else "",
            )


def _lay(lab: Lab, folder: Path, work: Path | None) -> None:
    """Lay the lab's files afresh: the handout, and over it the reference or the learner's own."""
    target = folder / lab.name
    if target.exists():
        shutil.rmtree(target)
    target.mkdir()
    lay_handout(lab, target)
    answer = rubric_path(lab).parent / "answers" / lab.name / "reference" if work is None else work / lab.name
    if answer.is_dir():
        shutil.copytree(
            answer,
            target,
            dirs_exist_ok=True,
            ignore=shutil.ignore_patterns("answer.toml", "__pycache__", ".ipynb_checkpoints"),
        )
    elif work is not None:
        raise WorkbookError(
            f"There is no folder {lab.name} in {work}.",
            why=f"The files of {lab.id} were looked for there.",
            next_step="Name the folder of the assignment, learn/" + lab.assignment + ".",
        )


# ---- executing --------------------------------------------------------------------------------------------


class _OwnInterpreter(AsyncKernelManager):
    """Starts kernels of the interpreter that runs this, whichever kernels are installed on the machine."""

    def __init__(self, **options: Any) -> None:
        # Through sockets of this user alone; of TCP the kernel warns that others could listen.
        super().__init__(transport="tcp" if sys.platform == "win32" else "ipc", **options)

    @property
    def kernel_spec(self) -> KernelSpec:
        root = str(Path(autograder.__file__).parent.parent)
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        return KernelSpec(
            argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            display_name="Python 3 (this one)",
            language="python",
            env={"PYTHONPATH": os.pathsep.join(paths), "PYDEVD_DISABLE_FILE_VALIDATION": "1"},
        )


def _execute(
    notebook: NotebookNode,
    output: Path,
    parameters: dict[str, Any],
    on_cell: Callable[[CellStarted], None] | None,
) -> None:
    """Run every cell in the output's folder; whatever was started for it is ended, however we leave."""
    code = 0

    def started(cell: NotebookNode, cell_index: int) -> None:
        nonlocal code
        if cell.cell_type == "code" and on_cell is not None:
            code += 1
            first = next((line for line in cell.source.splitlines() if line.strip()), "")
            on_cell(CellStarted(code, total, first))

    total = sum(cell.cell_type == "code" for cell in notebook.cells) + bool(parameters)
    before = set(psutil.Process().children())
    family: list[psutil.Process] = []
    try:
        papermill.execute_notebook(
            notebook,
            str(output),
            parameters=parameters,
            cwd=str(output.parent),
            kernel_name="python3",
            progress_bar=False,
            start_timeout=60,
            execution_timeout=CELL_SECONDS,
            kernel_manager_class=_OwnInterpreter,
            on_cell_start=started,
        )
    except papermill.PapermillExecutionError as error:
        said = _COLOURS.sub("", f"{error.ename}: {error.evalue}").strip()
        lines = [line.strip() for line in error.source.splitlines() if line.strip()]
        raise WorkbookError(
            f"the cell [{error.exec_count}] that begins with {lines[0] if lines else ''!r} failed.",
            why="\n".join(said.splitlines()[-5:]),
        ) from error
    except DeadKernelError as error:
        raise WorkbookError("the kernel died.", why="The machine may be short of memory.") from error
    except TimeoutError as error:
        raise WorkbookError(f"a cell did not end within {CELL_SECONDS} s.", why=str(error)) from error
    finally:
        for child in set(psutil.Process().children()) - before:
            family += [child, *child.children(recursive=True)]
        end(family, grace=1.0)


@contextmanager
def _alone(lab: Lab, path: Path) -> Iterator[None]:
    try:
        with FileLock(path, timeout=0):
            yield
    except Timeout as error:
        raise WorkbookError(
            f"{lab.id} is being run by another command.", next_step="Wait for it, then run this again."
        ) from error
