"""Which frameworks there are, and the server that a deployment asks for."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path

from labkit.errors import WorkFault
from labkit.serving.deployment import Deployment, Signature
from labkit.serving.framework import FrameworkServer

GROUP = "labkit.serving"


def names() -> list[str]:
    """The names of the backends that are installed (entry points of the group `labkit.serving`)."""
    return sorted(entry_points(group=GROUP).names)


def backend(name: str) -> type[FrameworkServer]:
    """The backend of that name.

    Raises:
        WorkFault: There is none.
    """
    found = entry_points(group=GROUP, name=name)
    if not found:
        raise WorkFault(f"There is no framework {name!r}.", next_step=f"There are: {', '.join(names())}.")
    chosen: type[FrameworkServer] = found[name].load()
    return chosen


def backends() -> dict[str, type[FrameworkServer]]:
    """All backends, by name."""
    return {name: backend(name) for name in names()}


def server_for(
    deployment: Deployment, *, signature: Signature | None = None, log: Path | None = None
) -> FrameworkServer:
    """The server that a deployment asks for, not started.

    Raises:
        WorkFault: There is no such framework, or it can't do what is asked for.
    """
    return backend(deployment.framework)(deployment, signature=signature, log=log)
