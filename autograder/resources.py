"""What a check may need of the machine (`@needs`), each with the test that finds it and what brings it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress

from autograder.rubric import QUIET_MACHINE
from labkit.errors import Unavailable, WorkbookError


def _gpu() -> None:
    if shutil.which("nvidia-smi") is None:
        raise Unavailable(
            "This machine has no NVIDIA GPU.",
            next_step="Run this check on a machine that has one; your work stays as it is.",
        )


def _always() -> None:
    """Every machine has it."""


def _engine() -> None:
    from labkit.engines import connect

    connect()


def _python_images() -> None:
    from labkit.engines import bases

    _provide(bases.PYTHON_IMAGES)


def _cuda_images() -> None:
    from labkit.engines import bases

    _provide(bases.CUDA_IMAGES)


def _provide(names: Iterable[str]) -> None:
    from labkit.engines import bases, connect

    engine = connect()
    for name in names:
        bases.provide_for(engine, name)


def _scanners() -> None:
    from labkit.scanning import ready

    ready()


_RESOURCES: dict[str, Callable[[], None]] = {
    "engine": _engine,
    "python_images": _python_images,
    "cuda_images": _cuda_images,
    "scanners": _scanners,
    "gpu": _gpu,
    "server": _always,
    QUIET_MACHINE: _always,
}
_SERVICES = ("engine", "python_images", "cuda_images", "scanners")
"""Those that are started or made if they are not there, and stay when the check has ended."""


def start(wanted: Iterable[str]) -> None:
    """Start the services among what is wanted, from a process that does not end what it leaves running.

    A check's own process ends all that was started in it. What can't be started is said by `require`.
    """
    for resource in _SERVICES:
        if resource in wanted:
            with suppress(WorkbookError):
                _RESOURCES[resource]()


def require(resource: str, *, fenced: bool = False) -> None:
    """Go on if the machine has it.

    Args:
        resource: Its name.
        fenced: What is checked is not our own: only what keeps it apart may run it.

    Raises:
        Unavailable: It has not, or nothing here keeps apart what would run; the message says what would help.
        KeyError: No resource is called that.
    """
    if fenced and resource in _SERVICES:
        raise Unavailable(
            "This check builds and runs what was handed in, and images have no guard yet.",
            next_step="Look at the Dockerfile, then run `workbook check` on it yourself.",
        )
    _RESOURCES[resource]()
