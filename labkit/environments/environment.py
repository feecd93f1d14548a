"""One environment: where it lies, what it must hold, and what is the matter with it."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labkit.environments import interpreters
from labkit.errors import WorkbookError

REPOSITORY = Path(__file__).resolve().parents[2]
STAMP = "workbook-environment.json"


@dataclass(frozen=True)
class Environment:
    """An isolated environment of this repository.

    Attributes:
        name: That of its requirements file, environments/NAME.txt.
        root: The repository that it belongs to.
    """

    name: str
    root: Path = REPOSITORY

    @property
    def path(self) -> Path:
        """Where it lies: .venv for core, .environments/NAME for any other."""
        return self.root / ".venv" if self.name == "core" else self.root / ".environments" / self.name

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.path / "bin" / "python"

    @property
    def requirements(self) -> Path:
        """The pinned requirements that it is made from."""
        return self.root / "environments" / f"{self.name}.txt"

    @property
    def holds_project(self) -> bool:
        """Whether the project itself is installed in it, too."""
        return self.name == "core"

    @property
    def stamp(self) -> Path:
        """The file that says whose this folder is and, once it is finished, what it was made from."""
        return self.path / STAMP

    def read_stamp(self) -> dict[str, Any]:
        """What the stamp says; empty if there is none, or none that can be read."""
        try:
            stamp = json.loads(self.stamp.read_text())
        except (OSError, ValueError):
            return {}
        return stamp if isinstance(stamp, dict) else {}

    def write_stamp(self, stamp: dict[str, Any]) -> None:
        """Replaces the stamp in one step: a reader finds the old one or the new one, never a half."""
        draft = self.stamp.with_name(f"{STAMP}.{os.getpid()}")
        draft.write_text(json.dumps(stamp, indent=1))
        draft.replace(self.stamp)

    def requirements_hash(self) -> str:
        """The hash of the pinned requirements.

        Raises:
            WorkbookError: There is no such requirements file.
        """
        try:
            return hashlib.sha256(self.requirements.read_bytes()).hexdigest()
        except FileNotFoundError as error:
            files = (self.root / "environments").glob("*.txt")
            names = sorted({file.stem for file in files} - {"uv"})
            raise WorkbookError(
                f"There is no environment called {self.name}.",
                why=f"environments/{self.name}.txt does not exist.",
                next_step=f"There are: {', '.join(names)}." if names else "",
            ) from error

    def project_hash(self) -> str:
        """The hash of what installing the project depends on: its metadata and build, not its linters."""
        if not self.holds_project:
            return ""
        import tomllib  # not in the older Pythons that may start this only to be told of a newer one

        whole = tomllib.loads((self.root / "pyproject.toml").read_text())
        installed = [whole.get("build-system"), whole.get("project"), whole.get("tool", {}).get("setuptools")]
        return hashlib.sha256(json.dumps(installed, sort_keys=True, default=str).encode()).hexdigest()

    def flaw(self, wanted: str | Path | None = None) -> Flaw | None:
        """What is the matter with the environment; None if nothing is. Starts no process, takes milliseconds.

        Args:
            wanted: The interpreter that was asked for by name, if one was.
        """
        if not self.path.exists():
            return Flaw("it is not there yet", remake=True)
        stamp = self.read_stamp()
        if not stamp:
            return Flaw("it was not made by the workbook", remake=True, foreign=any(self.path.iterdir()))
        if not stamp.get("finished"):
            return Flaw("its installation was interrupted", remake=True)
        if stamp.get("path") != str(self.path):
            return Flaw(f"it was moved here from {stamp.get('path')}", remake=True)
        if not self.python.exists():
            return Flaw(f"its interpreter {stamp.get('interpreter')} is gone", remake=True)
        if wanted is None and interpreters.DEBIAN.exists():
            wanted = interpreters.DEBIAN
        if wanted is not None and stamp.get("interpreter") != (real := os.path.realpath(wanted)):
            # A name such as python3.11 or a wrapper must be run to know what it is; a plain path need not.
            asked = interpreters.examine(wanted)
            if asked is not None and asked.has_venv and str(asked.executable) != stamp.get("interpreter"):
                return Flaw(f"it was made from {stamp.get('interpreter')}, not {real}", remake=True)
        if stamp.get("requirements") != self.requirements_hash():
            return Flaw("its requirements changed")
        if stamp.get("project") != self.project_hash():
            return Flaw("the project's metadata changed", project_only=True)
        return None


@dataclass(frozen=True)
class Flaw:
    """Why an environment can't be used as it is, and how much has to be done.

    Attributes:
        reason: In words.
        remake: It must be made from nothing.
        foreign: Somebody else made it: it is set aside, never deleted.
        project_only: Only the project itself must be installed again.
    """

    reason: str
    remake: bool = False
    foreign: bool = False
    project_only: bool = False


def running_in(environment: Environment) -> bool:
    """Whether this very process runs in the environment."""
    return Path(sys.prefix).resolve() == environment.path.resolve()
