"""Writes environment.yml, core for conda's users: what core.in names, at the versions of core.txt."""

from __future__ import annotations

import re
from pathlib import Path

from labkit.errors import WorkbookError

HEAD = """\
# The workbook's environment for conda's users; `make lock` writes it from environments/core.in and core.txt.
#   conda env create --file environment.yml && conda activate ml-infrastructure-workbook
name: ml-infrastructure-workbook
channels:
  - conda-forge
dependencies:
  - python=3.11
  - pip
  - pip:
"""
_PIN = re.compile(r"^([\w.-]+)(?:\[[\w,-]+\])?==([^\s;\\]+)([^\n]*)", re.MULTILINE)
_REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)(?P<extras>\[[\w,-]+\])?[^;]*(?P<marker>;.*)?")


def render(root: Path) -> str:
    """The text of environment.yml.

    Raises:
        WorkbookError: core.in names something that core.txt does not pin; `make lock` does.
    """
    core = root / "environments"
    pins = {
        name: pinned
        for name, pinned, marker in _PIN.findall((core / "core.txt").read_text())
        if ">= '3.12'" not in marker  # conda gives 3.11
    }
    lines = []
    for line in (core / "core.in").read_text().splitlines():
        match = _REQUIREMENT.fullmatch(line.partition("#")[0].strip())
        if match is None:
            continue
        name = match["name"]
        pinned = pins.get(re.sub(r"[-_.]+", "-", name).lower())
        if pinned is None:
            raise WorkbookError(f"environments/core.txt does not pin {name}.", next_step="Run: make lock")
        requirement = f"{name}{match['extras'] or ''}=={pinned}{match['marker'] or ''}"
        lines.append(f"      - {requirement!r}\n" if match["marker"] else f"      - {requirement}\n")
    return HEAD + "".join(lines) + "      - --editable .\n"


def write(root: Path) -> bool:
    """Writes environment.yml; gives whether it changed."""
    path, text = root / "environment.yml", render(root)
    if path.exists() and path.read_text() == text:
        return False
    path.write_text(text)
    return True
