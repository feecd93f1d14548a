"""Sandboxes for tests; without bubblewrap they are skipped."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from labkit.errors import Unavailable
from labkit.isolation.isolation import isolation_here
from labkit.isolation.sandbox import Sandbox

Run = Callable[..., Sandbox]


def need_sandbox() -> None:
    """Skip the test where there is no sandbox."""
    try:
        isolation_here()
    except Unavailable as error:
        pytest.skip(str(error))


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Runs Python code in a sandbox to its end; the sandbox is closed after the test."""
    need_sandbox()
    made: list[Sandbox] = []

    def start(code: str, *, seconds: float = 30.0, **options: Any) -> Sandbox:
        sandbox = Sandbox([sys.executable, "-c", code], log=tmp_path / f"log-{len(made)}", **options)
        made.append(sandbox)
        if seconds:
            sandbox.wait(seconds)
            sandbox.stop()
        return sandbox

    yield start
    for sandbox in made:
        sandbox.close()


def said(sandbox: Sandbox) -> Any:
    """What the code printed last, as JSON."""
    return json.loads(sandbox.last_lines(1)[0])


def sandboxed_processes(maker: int | None = None) -> set[int]:
    """Processes in the control groups of sandboxes that this process (or another) made."""
    mark = f"workbook-{maker or os.getpid()}-"
    found = set()
    for pid in psutil.pids():
        try:
            if mark in Path(f"/proc/{pid}/cgroup").read_text():
                found.add(pid)
        except OSError:
            continue
    return found


def until(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    """Wait until it holds; whether it does."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
