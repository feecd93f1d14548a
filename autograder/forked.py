"""Runs checks in a copy of a process that has loaded all they use: the start of Python is paid for once.

Only our own code may have run in the process that is copied, and it must have one thread.
"""

from __future__ import annotations

import ast
import gc
import importlib
import os
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from _pytest.config import default_plugins

from labkit.processes import die_with_parent

_OURS = ("autograder.fixtures", "autograder.plugin")
_ALWAYS = ("pytest", *_OURS, "autograder.rubric", "asyncio", "httpx")


class Forked:
    """pytest in a copy of this process; looks like a `subprocess.Popen`.

    Args:
        arguments: pytest's.
        events: The descriptor that events are written to.
        log: The descriptor that its output goes to.
    """

    def __init__(self, arguments: list[str], events: int, log: int) -> None:
        self._code: int | None = None
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            code = 70
            try:
                _become_child(parent, events, log)
                import pytest

                # Handed over as they are; by their names, pytest would look through all that is installed.
                loaded = [importlib.import_module(name) for name in _OURS]
                code = int(pytest.main(arguments, plugins=loaded))
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)

    def poll(self) -> int | None:
        """The exit code, or None while it runs."""
        if self._code is None:
            done, status = os.waitpid(self.pid, os.WNOHANG)
            if done:
                self._code = os.waitstatus_to_exitcode(status)
        return self._code

    def wait(self) -> int:
        """The exit code, once it has ended."""
        while (code := self.poll()) is None:
            time.sleep(0.005)
        return code

    def send_signal(self, sig: int) -> None:
        """Send it a signal."""
        if self.poll() is None:
            os.kill(self.pid, sig)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)


def _become_child(parent: int, events: int, log: int) -> None:
    os.setsid()
    die_with_parent()
    if os.getppid() != parent:
        os._exit(70)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    kept = 3
    for handle in (events,):
        os.closerange(kept, handle)
        kept = handle + 1
    os.closerange(kept, os.sysconf("SC_OPEN_MAX"))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"


def preload(rubrics: Iterable[Path]) -> None:
    """Import what these rubrics, and the `conftest.py` beside each, import; what can't be is left to them."""
    wanted = dict.fromkeys([*_ALWAYS, *(f"_pytest.{name}" for name in default_plugins)])
    for rubric in rubrics:
        for path in (rubric, rubric.parent / "conftest.py"):
            if path.is_file():
                wanted.update(dict.fromkeys(_imported(path)))
    for name in wanted:
        try:
            importlib.import_module(name)
        except ImportError:
            continue
    gc.collect()
    gc.freeze()  # the copies' collections then leave the shared pages alone


def _imported(path: Path) -> list[str]:
    """The modules that a file's import statements name."""
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except SyntaxError:
        return []
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.append(node.module)
    return names
