"""Lays a learner's platform on a machine: their files, and beside them what they are called with."""

from __future__ import annotations

import shutil
from pathlib import Path

PROGRAMS = Path(__file__).parent / "programs"


def lay(work: Path, target: Path) -> Path:
    """Copy the learner's files to a fresh folder, with `workbook_clock.py` and `workbook_promoter.py`."""
    shutil.copytree(work, target, ignore=shutil.ignore_patterns("__pycache__", "cache"))
    for program in PROGRAMS.glob("[a-z]*.py"):
        shutil.copyfile(program, target / f"workbook_{program.name}")
    return target
