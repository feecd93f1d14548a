"""Which cluster is used: the one that a person names, else the embedded one."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.metadata import entry_points

from labkit.clusters.base import Cluster
from labkit.errors import WorkbookError

GROUP = "labkit.clusters"
VARIABLE = "WORKBOOK_CLUSTER"
"""Holds the cluster's name for the processes that a notebook or a command starts."""


def backends() -> dict[str, Callable[[], Callable[[], Cluster]]]:
    """The backends that are installed, by name (entry points of the group `labkit.clusters`)."""
    return {entry.name: entry.load for entry in entry_points(group=GROUP)}


def chosen(name: str = "auto") -> str:
    """The name of the backend that `connect(name)` takes.

    Raises:
        WorkbookError: There is none of that name.
    """
    name = name if name != "auto" else os.environ.get(VARIABLE) or "embedded"
    if name not in backends():
        known = ", ".join(sorted(backends()))
        raise WorkbookError(f"There is no cluster {name!r}.", next_step=f"There are: auto, {known}.")
    return name


def connect(name: str = "auto") -> Cluster:
    """The cluster of that name, running.

    Args:
        name: `auto`, `embedded`, `kubeconfig`, or a backend that somebody added.

    Raises:
        Unavailable: It is not running and can't be started here.
        WorkbookError: There is none of that name.
    """
    picked = chosen(name)
    cluster = backends()[picked]()()
    cluster.up()
    os.environ[VARIABLE] = picked
    return cluster
