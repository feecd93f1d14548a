"""Which cloud is used: the one that a person names, else the emulated one; never a real one by chance."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.metadata import entry_points

from labkit.clouds.base import Cloud
from labkit.errors import WorkbookError

GROUP = "labkit.clouds"
VARIABLE = "WORKBOOK_CLOUD"
"""Holds the cloud's name for the processes that a notebook or a command starts."""


def backends() -> dict[str, Callable[[], Callable[[], Cloud]]]:
    """The backends that are installed, by name (entry points of the group `labkit.clouds`)."""
    return {entry.name: entry.load for entry in entry_points(group=GROUP)}


def chosen(name: str = "auto") -> str:
    """The name of the backend that `connect(name)` takes; credentials alone never choose one.

    Raises:
        WorkbookError: There is none of that name.
    """
    name = name if name != "auto" else os.environ.get(VARIABLE) or "emulated"
    if name not in backends():
        known = ", ".join(sorted(backends()))
        raise WorkbookError(f"There is no cloud {name!r}.", next_step=f"There are: auto, {known}.")
    return name


def connect(name: str = "auto") -> Cloud:
    """The cloud of that name, ready.

    Args:
        name: `auto`, `emulated`, `aws`, `gcp`, or a backend that somebody added.

    Raises:
        Unavailable: It can't run here, or its credentials are not there.
        WorkbookError: There is none of that name.
    """
    picked = chosen(name)
    cloud = backends()[picked]()()
    cloud.up()
    os.environ[VARIABLE] = picked
    return cloud
