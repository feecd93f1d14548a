"""Clears away what a process that was killed left of its sandboxes.

Processes and mounts end with whoever started them, by themselves. What stays are control groups, which are
empty folders, and folders for logs in the machine's place for temporary files.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

import psutil

from labkit.isolation import cgroups

_FOLDER = re.compile(r"workbook-[a-z]+-(\d+)-(\d+)-.+")


def prefix(kind: str) -> str:
    """How a temporary folder of this process has to begin so that a later process knows whose it was."""
    return f"workbook-{kind}-{os.getpid()}-{int(psutil.Process().create_time())}-"


def clear() -> int:
    """Remove the control groups and folders whose makers are gone; gives how many."""
    removed = 0
    for group in cgroups.left_behind():
        with suppress(OSError):  # somebody else was faster, or the last process has not ended yet
            group.rmdir()
            removed += 1
    for folder in Path(tempfile.gettempdir()).glob("workbook-*-*-*-*"):
        match = _FOLDER.fullmatch(folder.name)
        if (
            match
            and folder.lstat().st_uid == os.geteuid()
            and not cgroups.lives(int(match[1]), int(match[2]))
        ):
            shutil.rmtree(folder, ignore_errors=True)
            removed += 1
    return removed


@cache
def run_once() -> None:
    """`clear`, once in the life of this process."""
    clear()
