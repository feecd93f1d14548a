"""Known vulnerabilities: a database where there is one, else a few dated advisories for teaching.

A scanner without a database finds nothing and says "no vulnerabilities": the most dangerous of all answers.
What is found here always says what it was held against, and whether that was complete.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import platformdirs
from packaging.version import InvalidVersion, Version

from labkit.scanning.findings import Finding, Severity


@dataclass(frozen=True)
class Vulnerabilities:
    """What is known of an image's packages.

    Attributes:
        findings: The vulnerabilities.
        against: What the packages were held against, with its date.
        complete: Whether that is a database; with a few advisories alone, none found means little.
    """

    findings: tuple[Finding, ...]
    against: str
    complete: bool


@dataclass(frozen=True)
class Advisory:
    """One known vulnerability of a package of PyPI.

    Attributes:
        id: `CVE-...`.
        package: The package.
        introduced: The first version that has it; empty for all before `fixed`.
        fixed: The first version without it.
        severity: By its CVSS score, as its source gives it.
        summary: In a sentence.
        url: Where it stands.
    """

    id: str
    package: str
    introduced: str
    fixed: str
    severity: Severity
    summary: str
    url: str

    def concerns(self, name: str, version: str) -> bool:
        """Whether that version of a package has it."""
        if _canonical(name) != _canonical(self.package):
            return False
        try:
            found = Version(version)
        except InvalidVersion:
            return False
        return Version(self.introduced or "0") <= found < Version(self.fixed)


@dataclass(frozen=True)
class Advisories:
    """Advisories that are shipped as data.

    Attributes:
        date: When they were written down; what became known later is not among them.
        source: Whose they are.
        entries: The advisories.
    """

    date: str
    source: str
    entries: tuple[Advisory, ...]

    @classmethod
    @lru_cache(maxsize=1)
    def shipped(cls) -> Advisories:
        """Those beside this module."""
        data = tomllib.loads((files("labkit.scanning") / "advisories.toml").read_text())
        entries = tuple(
            Advisory(**{**entry, "severity": Severity.named(entry["severity"])}) for entry in data["advisory"]
        )
        return cls(str(data["date"]), data["source"], entries)

    def judge(self, packages: Iterable[tuple[str, str, str]]) -> Vulnerabilities:
        """Hold packages against them.

        Args:
            packages: Kind, name and version of each, `("pypi", "h11", "0.14.0")`.
        """
        found = tuple(
            Finding(
                "advisories",
                entry.id,
                entry.severity,
                f"{name} {version}",
                f"{entry.summary} (fixed in {entry.fixed})",
            )
            for kind, name, version in packages
            if kind == "pypi"
            for entry in self.entries
            if entry.concerns(name, version)
        )
        return Vulnerabilities(
            found,
            against=f"{len(self.entries)} advisories of {self.date} alone, as no database is here",
            complete=False,
        )


@dataclass(frozen=True)
class Database:
    """Trivy's vulnerability database on this machine: its cache folder, and the day it was made."""

    folder: Path
    date: str


def database() -> Database | None:
    """Trivy's database, if it was fetched to this machine (`trivy image --download-db-only`)."""
    folder = Path(os.environ.get("TRIVY_CACHE_DIR") or platformdirs.user_cache_path("trivy"))
    try:
        about = json.loads((folder / "db" / "metadata.json").read_text())
    except (OSError, ValueError):
        return None
    if not (folder / "db" / "trivy.db").is_file():
        return None
    return Database(folder, str(about.get("UpdatedAt", "an unknown day"))[:10])


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
