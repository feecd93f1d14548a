"""Step one, fast: notebooks run in sandboxes that are forked from a process with numpy and torch loaded."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

import autograder
import labkit
from autograder.nbgrading import cells
from autograder.nbgrading.records import Problem, Status
from autograder.nbgrading.runner import (
    VARIABLES,
    NotebookRun,
    RunLimits,
    lay_stub,
    sandbox_limits,
    take_over,
    why_it_ended,
)
from labkit.errors import WorkFault
from labkit.isolation import janitor
from labkit.isolation.mounts import Shown
from labkit.isolation.network import ROOT
from labkit.isolation.zygote import Forked, Zygote

_ANSWER_BYTES = 1 << 20
"""What the answers may take beside the outputs; what is more is read away."""
_INLINE = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}


class ZygoteRunner:
    """A fork of one loaded process for each notebook, isolated like a fresh sandbox.

    Attributes:
        modules: What is loaded before it is forked, of what can be; all by default.
    """

    def __init__(self) -> None:
        self._zygote: Zygote | None = None
        self.modules = {"torch"}

    def expect(self, notebooks: Iterable[NotebookNode]) -> None:
        """Load only what these notebooks name: what is loaded beforehand takes time, once for each worker."""
        sources = [cell.source for notebook in notebooks for cell in notebook.cells]
        self.modules = {name for name in self.modules if any(name in source for source in sources)}

    def run(self, notebook: NotebookNode, folder: Path, limits: RunLimits) -> NotebookRun:
        """Run the notebook, end all that it started, and take over the plain files that it left."""
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix=janitor.prefix("run")) as scratch:
            stub = lay_stub(Path(scratch))
            numbered = [
                (number, cell.source)
                for number, cell in enumerate(notebook.cells, start=1)
                if cell.cell_type == "code" and cell.source.strip()
            ]
            task = {"cells": numbered, "output_bytes": limits.output_bytes, "paths": [ROOT]}
            try:
                forked = self._loaded().fork(
                    task,
                    folder=folder,
                    limits=sandbox_limits(limits),
                    shown=[
                        Shown(Path(labkit.__file__).parent),
                        Shown(stub, str(Path(autograder.__file__).parent)),
                    ],
                    environment={**VARIABLES, **_INLINE, "PYTHONPATH": ROOT},
                )
            except WorkFault as error:
                refused = Problem(status=Status.INVALID, message=str(error))
                return NotebookRun(notebook, refused, round(time.monotonic() - started, 3))
            with forked:
                executed, problem, remarks = self._follow(forked, notebook, folder, limits)
                isolation = str(forked.isolation)
        return NotebookRun(executed, problem, round(time.monotonic() - started, 3), isolation, remarks)

    def _follow(
        self, forked: Forked, notebook: NotebookNode, folder: Path, limits: RunLimits
    ) -> tuple[NotebookNode, Problem | None, list[str]]:
        heard = Heard(notebook, limits.output_bytes * 2 + _ANSWER_BYTES)
        in_time = forked.read(limits.seconds, heard.take)
        said: Problem | None = None
        if not in_time:
            where = f" in cell {heard.cell}" if heard.cell else ""
            message = f"The notebook ran longer than {limits.seconds:g} s and was stopped{where}."
            said = Problem(status=Status.TIMEOUT, message=message)
        elif not heard.ended:
            where = f" in cell {heard.cell}" if heard.cell else ""
            message = f"The notebook's Python process ended{where} before the notebook did."
            said = Problem(status=Status.CRASHED, message=message)
        problem = why_it_ended(said, limits, forked.memory_ran_out)
        remarks, left = take_over(forked.home, folder, limits)
        return heard.notebook(), problem or left, remarks

    def _loaded(self) -> Zygote:
        """The loaded process; another one if it has ended."""
        if self._zygote is not None and not self._zygote.lives:
            self.close()
        if self._zygote is None:
            self._zygote = Zygote(Path(cells.__file__), sorted(self.modules))
        return self._zygote

    def close(self) -> None:
        """End the loaded process."""
        if self._zygote is not None:
            self._zygote.close()
            self._zygote = None


class Heard:
    """What a sandbox said of the cells, as far as it makes sense: it may say anything."""

    def __init__(self, notebook: NotebookNode, most: int) -> None:
        self._original = notebook
        self._outputs: dict[int, list[NotebookNode]] = {}
        self._rest = b""
        self._left = most
        self.cell = 0
        self.ended = False

    def take(self, part: bytes) -> None:
        """More bytes."""
        part = part[: self._left]
        self._left -= len(part)
        *lines, self._rest = (self._rest + part).split(b"\n")
        for line in lines:
            try:
                self._line(json.loads(line))
            except (ValueError, RecursionError):
                continue

    def _line(self, line: Any) -> None:
        match line:
            case {"cell": int(number)} if 0 < number <= len(self._original.cells):
                self.cell = number
            case {"ended": "ran"}:
                self.ended = True
            case {"clear": True}:
                self._outputs[self.cell] = []
            case {"stream": "stdout" | "stderr" as name, "text": str(text)}:
                outputs = self._outputs.setdefault(self.cell, [])
                if outputs and outputs[-1].output_type == "stream" and outputs[-1].name == name:
                    outputs[-1].text += text
                else:
                    outputs.append(nbformat.v4.new_output("stream", name=name, text=text))
            case {"output": dict(output)}:
                self._outputs.setdefault(self.cell, []).append(nbformat.from_dict(output))

    def notebook(self) -> NotebookNode:
        """The notebook with what its cells put out; without, where that is no output."""
        executed = nbformat.from_dict(self._original)
        for number, cell in enumerate(executed.cells, start=1):
            if cell.cell_type == "code":
                cell.outputs = [
                    output for output in self._outputs.get(number, []) if _is_output(output, cell, executed)
                ]
        return executed


def _is_output(output: NotebookNode, cell: NotebookNode, notebook: NotebookNode) -> bool:
    try:
        nbformat.validate(
            dict(output), ref="output", version=notebook.nbformat, version_minor=notebook.nbformat_minor
        )
    except Exception:  # whatever a forged one brings nbformat to
        return False
    return True
