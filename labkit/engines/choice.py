"""Which engine is used: the one that a person names, else one that runs, else the embedded one."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

from labkit import debian
from labkit.engines.base import Engine
from labkit.engines.docker import DEFAULT
from labkit.engines.embedded import EmbeddedEngine
from labkit.errors import WorkbookError

GROUP = "labkit.engines"
VARIABLE = "WORKBOOK_ENGINE"
"""Holds the engine's name for the processes that a notebook or a command starts."""


def backends() -> dict[str, Callable[[], Engine]]:
    """The backends that are installed, by name (entry points of the group `labkit.engines`)."""
    return {entry.name: entry.load for entry in entry_points(group=GROUP)}


def chosen(name: str = "auto") -> str:
    """The name of the backend that `connect(name)` takes.

    Raises:
        WorkbookError: There is none of that name.
    """
    name = name if name != "auto" else os.environ.get(VARIABLE) or "auto"
    if name == "auto":
        named = os.environ.get("DOCKER_HOST")
        return "docker" if named or Path(DEFAULT.removeprefix("unix://")).is_socket() else "embedded"
    if name not in backends():
        raise WorkbookError(
            f"There is no engine {name!r}.", next_step=f"There are: auto, {', '.join(sorted(backends()))}."
        )
    return name


def connect(name: str = "auto", *, say: debian.Say = debian.say_on_stderr) -> Engine:
    """The engine of that name, running; what this process starts from now on takes the same.

    Args:
        name: `auto`, `docker`, `embedded`, or a backend that somebody added.
        say: Told in a sentence what is done, if it takes time.

    Raises:
        Unavailable: It is not running and can't be started here; the message says what would help.
        WorkbookError: There is none of that name.
    """
    picked = chosen(name)
    engine: Engine = EmbeddedEngine(say=say) if picked == "embedded" else backends()[picked]()()  # type: ignore[operator]
    if isinstance(engine, EmbeddedEngine):
        engine.up()
    engine.about()
    os.environ[VARIABLE] = picked
    return engine
