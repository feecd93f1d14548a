"""Clears away what a process that was killed left of its sandboxes.

Processes and mounts end with whoever started them, by themselves. Control groups stay: empty folders.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cache

from labkit.isolation import cgroups


def clear() -> int:
    """Remove the control groups whose makers are gone; gives how many."""
    removed = 0
    for folder in cgroups.left_behind():
        with suppress(OSError):  # somebody else was faster, or the last process has not ended yet
            folder.rmdir()
            removed += 1
    return removed


@cache
def run_once() -> None:
    """`clear`, once in the life of this process."""
    clear()
