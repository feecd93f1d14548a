"""What a check may need of the machine (`@needs`), each with the test that finds it and what brings it."""

from __future__ import annotations

import shutil
from collections.abc import Callable

from autograder.rubric import QUIET_MACHINE
from labkit.errors import Unavailable


def _gpu() -> None:
    if shutil.which("nvidia-smi") is None:
        raise Unavailable(
            "This machine has no NVIDIA GPU.",
            next_step="Run this check on a machine that has one; your work stays as it is.",
        )


def _always() -> None:
    """Every machine has it."""


_RESOURCES: dict[str, Callable[[], None]] = {"gpu": _gpu, "server": _always, QUIET_MACHINE: _always}


def require(resource: str) -> None:
    """Go on if the machine has it.

    Raises:
        Unavailable: It has not; the message says what would help.
        KeyError: No resource is called that.
    """
    _RESOURCES[resource]()
