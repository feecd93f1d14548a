"""Inside: runs a notebook's cells in this process, as a kernel would, and says what each put out.

A zygote loads this file by its path (`labkit.isolation.zygote`); it imports nothing of `autograder`. What it
answers are JSON lines: `{"cell": n}`, `{"stream": name, "text": ...}`, `{"output": {...}}`, `{"clear": true}`
and at the end `{"ended": "ran"}`. The process is the learner's by then: whoever reads takes them as such.
"""

from __future__ import annotations

import asyncio
import builtins
import getpass
import io
import json
import os
import random
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

_FLUSH_BYTES = 8192
_FLUSH_SECONDS = 0.2
_EACH = 200  # bytes that an output takes beside its text


class Answers:
    """Where the lines go, as far as there is room for outputs."""

    def __init__(self, handle: int, output_bytes: int) -> None:
        self._handle = handle
        self._left = output_bytes
        self._streams: dict[str, str] = {}
        self._since = 0.0

    def say(self, **line: Any) -> None:
        """One line, after all text that came before it."""
        self.flush()
        self._write(line)

    def _write(self, line: dict[str, Any]) -> None:
        content = memoryview((json.dumps(line, default=str) + "\n").encode())
        while content:
            content = content[os.write(self._handle, content) :]

    def put(self, output: dict[str, Any]) -> None:
        """An output, if there is room for it."""
        self.flush()
        if self._room_for(len(json.dumps(output, default=str)) + _EACH):
            self._write({"output": output})

    def text(self, name: str, text: str) -> None:
        """Text on standard output or error."""
        if not self._streams:
            self._since = time.monotonic()
        elif name not in self._streams:
            self.flush()
        self._streams[name] = self._streams.get(name, "") + text
        if len(self._streams[name]) > _FLUSH_BYTES or time.monotonic() - self._since > _FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Send what was printed."""
        streams, self._streams = self._streams, {}
        for name, text in streams.items():
            if self._room_for(len(text)):
                self._write({"stream": name, "text": text})

    def _room_for(self, size: int) -> bool:
        if size > self._left:
            if self._left > 0:
                self._left = 0
                self._write(
                    {"stream": "stdout", "text": "[There was too much output; the rest was dropped.]\n"}
                )
            return False
        self._left -= size
        return True


class _Stream(io.TextIOBase):
    """Standard output or error as the cells see it."""

    encoding = "utf-8"

    def __init__(self, answers: Answers, name: str) -> None:
        self._answers = answers
        self.name = f"<{name}>"
        self._name = name

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return 1 if self._name == "stdout" else 2

    def write(self, text: str) -> int:
        self._answers.text(self._name, text)
        return len(text)


def preload(modules: Iterable[str]) -> Callable[[dict[str, Any], int], None]:
    """Load what notebooks use, and warm up what is slow at first; gives the work.

    Args:
        modules: What the notebooks import, as far as that is known. `torch` is loaded only if it is among
            them, since it takes longer than all else; a notebook that imports it nevertheless waits for it.
    """
    import numpy

    with_torch = "torch" in modules
    if with_torch:
        _warm_torch()
    shell = _make_shell()
    for source in ("1 / 0", "import torch\ntorch.zeros(2)" if with_torch else "1", "%pwd", "print(1)\n1"):
        shell.answers = None
        shell.run_cell(source, store_history=False)
    shell.reset(new_session=True)

    def work(task: dict[str, Any], handle: int) -> None:
        """Run the cells.

        Args:
            task: `cells` (number and source), `output_bytes`, `paths` (of modules), `prelude` (code to run
                first, unseen).
            handle: Where the answers go.
        """
        # These begin anywhere in a fresh process; here they would all begin where this one stood.
        random.seed()
        numpy.random.seed()
        if with_torch:
            sys.modules["torch"].seed()
        sys.path[:] = ["", *task["paths"], *(place for place in sys.path if place not in task["paths"])]
        sys.argv[:] = ["ipykernel_launcher.py", "-f", "kernel.json"]
        builtins.input = getpass.getpass = _nobody_to_ask
        answers = Answers(handle, task["output_bytes"])
        shell.answers = answers
        sys.stdin = open(os.devnull)  # noqa: SIM115, PTH123 (for good)
        sys.stdout, sys.stderr = _Stream(answers, "stdout"), _Stream(answers, "stderr")
        asyncio.run(_run(shell, task["cells"], answers))

    return work


def _warm_torch() -> None:
    import torch
    import torch._dynamo  # optimizers load it, which takes seconds
    import torch.optim

    torch.set_num_threads(1)
    parameter = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.Adam([parameter])
    (parameter * 2).sum().backward()
    optimizer.step()


def _nobody_to_ask(*_: Any, **__: Any) -> NoReturn:
    from IPython.core.error import StdinNotImplementedError

    raise StdinNotImplementedError("raw_input was called, but nobody is there to answer")


async def _run(shell: Any, cells: list[tuple[int, str]], answers: Answers) -> None:
    """Run them in a loop that runs already, as in a kernel."""
    for number, source in cells:
        answers.say(cell=number)
        transformed, failed = source, None
        try:
            transformed = shell.transform_cell(source)
        except Exception:
            failed = sys.exc_info()
        arguments = {"transformed_cell": transformed, "preprocessing_exc_tuple": failed}
        if shell.should_run_async(source, **arguments):
            await shell.run_cell_async(source, store_history=True, **arguments)
        else:
            shell.run_cell(source, store_history=True)
        answers.flush()
    answers.say(ended="ran")


def _make_shell() -> Any:
    from IPython.core.displayhook import DisplayHook
    from IPython.core.displaypub import DisplayPublisher
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    class Hook(DisplayHook):  # type: ignore[misc]
        """The value of a cell's last line."""

        def write_output_prompt(self) -> None:
            """There is none."""

        def write_format_data(self, format_dict: Any, md_dict: Any = None) -> None:
            """Put it out."""
            if self.shell.answers:
                output = {
                    "output_type": "execute_result",
                    "data": dict(format_dict),
                    "metadata": md_dict or {},
                }
                self.shell.answers.put({**output, "execution_count": self.prompt_count})

        def finish_displayhook(self) -> None:
            """Nothing ends the line."""
            self._is_active = False

    class Publisher(DisplayPublisher):  # type: ignore[misc]
        """What cells display."""

        def publish(self, data: Any, metadata: Any = None, **more: Any) -> None:
            """Put it out."""
            if self.shell.answers:
                self.shell.answers.put(
                    {"output_type": "display_data", "data": dict(data), "metadata": metadata or {}}
                )

        def clear_output(self, wait: bool = False) -> None:
            """Forget what the cell has put out."""
            if self.shell.answers:
                self.shell.answers.say(clear=True)

    class Shell(InteractiveShell):  # type: ignore[misc]
        """IPython without a terminal."""

        displayhook_class = Hook
        display_pub_class = Publisher
        answers: Answers | None = None

        def ask_exit(self) -> None:
            """`exit` was called; a kernel goes on for a while, too."""

        def _showtraceback(self, etype: Any, evalue: Any, stb: list[str]) -> None:
            if self.answers:
                self.answers.put(
                    {
                        "output_type": "error",
                        "ename": str(getattr(etype, "__name__", etype)),
                        "evalue": str(evalue),
                        "traceback": stb,
                    }
                )

    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    config.InteractiveShell.xmode = "Context"
    shell = Shell.instance(config=config)
    shell.display_pub.shell = shell
    return shell
