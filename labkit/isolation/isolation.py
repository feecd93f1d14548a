"""Says how what a learner made is kept apart here, and why, where it can't be."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from labkit import debian
from labkit.errors import Unavailable
from labkit.isolation import cgroups


@dataclass(frozen=True)
class Isolation:
    """How something is kept apart from the machine.

    Attributes:
        sandboxed: Whether it is at all.
        own_user: Whether each sandbox is a user of its own (as root), or shares ours.
        bound: What a control group bounds for all of a sandbox's processes together, and its version.
    """

    sandboxed: bool
    own_user: bool = False
    bound: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        """One line for people."""
        if not self.sandboxed:
            return "not isolated: it ran as the user who started the grading"
        user = "a user of its own" if self.own_user else "our user in a namespace of its own"
        version = next(iter(self.bound.values()), 0)
        names = {"memory": "memory", "pids": "processes", "cpu": "CPU"}
        groups = ", ".join(names[each] for each in self.bound)
        bounds = f"{groups} by cgroup v{version}" if groups else "memory and processes by rlimit alone"
        return f"sandbox: {user}, no network, {bounds}"


NOT_ISOLATED = Isolation(sandboxed=False)


def isolation_here() -> Isolation:
    """How a sandbox isolates on this machine.

    Raises:
        Unavailable: There is none; the message says why and what brings it.
    """
    require()
    bound = {place.controller: place.version for place in cgroups.places()}
    return Isolation(sandboxed=True, own_user=os.geteuid() == 0, bound=bound)


@cache
def require() -> Path:
    """The program bubblewrap, where it and what it needs are there; found by reading alone.

    Raises:
        Unavailable: Something is missing.
    """
    if sys.platform != "linux":
        raise Unavailable(
            "There is no sandbox on this system.",
            why="It is made of Linux's namespaces.",
            next_step="Grade on Linux; on Windows, in WSL.",
        )
    found = shutil.which("bwrap")
    if found is None:
        raise Unavailable(
            "There is no sandbox: bubblewrap is not installed.",
            next_step=f"To install: {debian.command_for(['bubblewrap'], debian.Machine())}",
        )
    reason = _closed(Path("/proc/sys"))
    if reason:
        raise Unavailable(
            "There is no sandbox: this machine keeps user namespaces closed.",
            why=reason,
            next_step="Ask whoever runs the machine to open them, or grade on another.",
        )
    return Path(found)


def _closed(settings: Path) -> str:
    """Why user namespaces are closed, by the kernel's settings; empty if they say nothing."""
    for name, closed in (
        ("user/max_user_namespaces", "0"),
        ("kernel/unprivileged_userns_clone", "0"),
        ("kernel/apparmor_restrict_unprivileged_userns", "1"),
    ):
        try:
            if (settings / name).read_text().strip() == closed:
                return f"{name.replace('/', '.')} is {closed}."
        except OSError:
            continue
    return ""
