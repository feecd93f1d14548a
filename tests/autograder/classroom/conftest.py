"""A small course in a git checkout."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest


def git(root: Path, *arguments: str) -> None:
    who = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *who, *arguments], cwd=root, check=True, capture_output=True)


@pytest.fixture
def checkout(small_course):
    small_course.write("docs/learner.md", "# Begin here\n")
    small_course.write("labkit/__init__.py", "")
    small_course.write("notes.txt", "total_of_both_operands = a + b\n")
    git(small_course.root, "init", "-q")
    git(small_course.root, "add", ".")
    git(small_course.root, "commit", "-qm", "one")
    return small_course
