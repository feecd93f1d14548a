"""Finds the Python that the environments are made from."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from labkit.errors import WorkbookError

SUPPORTED = ((3, 11), (3, 12))
DEBIAN = Path("/usr/bin/python3.11")
"""Debian's own: Triton's Python backend links its libpython, so it goes before any other."""

APT_LINE = "apt-get install --no-install-recommends -y git make python3.11 python3.11-venv ca-certificates"

_PROBE = """\
import importlib.util, json, os, sys
print(json.dumps({
    "executable": os.path.realpath(getattr(sys, "_base_executable", sys.executable)),
    "version": list(sys.version_info[:3]),
    "venv": all(importlib.util.find_spec(name) for name in ("venv", "ensurepip")),
}))
"""


@dataclass(frozen=True)
class Interpreter:
    """A Python on this machine.

    Attributes:
        executable: Its real path, never that of a virtual environment.
        version: Major, minor and micro.
        has_venv: Whether it can make virtual environments (Debian packs that separately).
    """

    executable: Path
    version: tuple[int, int, int]
    has_venv: bool

    @property
    def supported(self) -> bool:
        """Whether the pins hold for this version."""
        return self.version[:2] in SUPPORTED

    def __str__(self) -> str:
        """As a person reads it: version and path."""
        return f"Python {'.'.join(map(str, self.version))} ({self.executable})"


def clean_environment() -> dict[str, str]:
    """This process's environment without what would bend another interpreter or its installer."""
    bending = {
        "PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "VIRTUAL_ENV", "CONDA_PREFIX", "__PYVENV_LAUNCHER__",
        "PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_PYTHON", "PIP_REQUIREMENT", "PIP_CONSTRAINT",
    }  # fmt: skip
    return {name: value for name, value in os.environ.items() if name not in bending}


def examine(executable: str | Path) -> Interpreter | None:
    """What this interpreter is; None if it does not run (a broken link, a version manager's empty shim)."""
    try:
        run = subprocess.run(
            [str(executable), "-I", "-c", _PROBE],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
            env=clean_environment(),
        )
        found = json.loads(run.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    major, minor, micro = found["version"]
    return Interpreter(Path(found["executable"]), (major, minor, micro), found["venv"])


def find(wanted: str | Path | None = None) -> Interpreter:
    """The interpreter to make environments from.

    Args:
        wanted: A path or a command; without it Debian's own, else the running one, else one on PATH.

    Raises:
        WorkbookError: There is none that is supported and can make virtual environments.
    """
    if wanted is not None:
        chosen = examine(wanted)
        if chosen is None:
            raise WorkbookError(f"{wanted} does not run.", next_step="Name another Python 3.11 or 3.12.")
        if not chosen.supported:
            raise WorkbookError(f"{chosen} is not supported.", next_step="Name a Python 3.11 or 3.12.")
        if not chosen.has_venv:
            raise _without_venv(chosen)
        return chosen
    found: list[Interpreter] = []
    for candidate in (str(DEBIAN), sys.executable, shutil.which("python3.11"), shutil.which("python3.12")):
        interpreter = examine(candidate) if candidate else None
        if interpreter is None:
            continue
        found.append(interpreter)
        if interpreter.supported and interpreter.has_venv:
            return interpreter
    for interpreter in found:
        if interpreter.supported:
            raise _without_venv(interpreter)
    raise WorkbookError(
        "No Python 3.11 or 3.12 was found.",
        why=f"This is {found[0]}." if found else "",
        next_step=f"On Debian 12, as root: {APT_LINE}. Elsewhere, install Python 3.11 and run this again.",
    )


def _without_venv(interpreter: Interpreter) -> WorkbookError:
    version = "{}.{}".format(*interpreter.version)
    return WorkbookError(
        f"{interpreter} cannot make virtual environments.",
        why="Its venv or ensurepip module is missing (Debian packs them separately).",
        next_step=f"As root: apt-get install --no-install-recommends -y python{version}-venv",
    )
