"""Sensor readings of machines, drawn at random: what the lab week10/kubeflow trains on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_NOISE = 0.35


def draw(rows: int, seed: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Ids `(n,)`, readings `(n, 6)` and conditions `(n,)`: 0 good, 1 worn, 2 failing.

    Each condition is a ring around the working point of two quantities, which six sensors see mixed and with
    noise: no straight line parts them.
    """
    rng = np.random.default_rng(seed)
    conditions = rng.integers(0, 3, rows)
    radius = 0.5 + conditions + rng.normal(0, 0.18, rows)
    angle = rng.uniform(0, 2 * np.pi, rows)
    hidden = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])
    # The sensors are the same on every machine.
    mixing = np.random.default_rng(7).normal(0, 1, (2, 6))
    readings = hidden @ mixing + rng.normal(0, _NOISE, (rows, 6))
    return np.arange(rows), readings, conditions


def write(path: Path, rows: int, seed: int, *, shuffled: bool = False) -> Path:
    """Write a table as CSV: id, six readings, condition.

    Args:
        path: The file.
        rows: How many machines.
        seed: Of the draw.
        shuffled: Whether the conditions are dealt out anew, so that there is nothing to learn.
    """
    ids, readings, conditions = draw(rows, seed)
    if shuffled:
        conditions = np.random.default_rng(seed + 1).permutation(conditions)
    names = ["id", *(f"reading_{number}" for number in range(1, 7)), "condition"]
    table = np.column_stack([ids, readings, conditions])
    formats = ["%d", *["%.5f"] * 6, "%d"]
    np.savetxt(path, table, delimiter=",", header=",".join(names), comments="", fmt=formats)
    return path
