"""A small course under `tmp_path`: one lab with every kind of cell, and a second without handouts."""

from __future__ import annotations

from pathlib import Path

import pytest

from labkit.course import Course

HEADER = """\
---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3 (ipykernel)
  language: python
  name: python3
workbook:
  minutes: 20
---

"""

SOURCE = (
    HEADER
    + """\
# Add two numbers

About 20 minutes.

```{code-cell} ipython3
:tags: [parameters]

RATE = 200  # requests per second
FAST = False
```

```{code-cell} ipython3
from pathlib import Path

assert RATE > 0
total = 1 + 1
```

```{code-cell} ipython3
:tags: [exercise, doubling]

def double(number):
    ### BEGIN SOLUTION
    doubled_by_addition = number + number
    return doubled_by_addition
    ### END SOLUTION
```

+++

The same again, on purpose:

```{code-cell} ipython3
total = 1 + 1
```

```{code-cell} ipython3
def check(*names):
    return 2.0
```

```{code-cell} ipython3
:tags: [check]

check("week01/adding", "sums")
```

```{code-cell} ipython3
:tags: [check]

check("week01/adding", "overflow")
```

+++ {"tags": ["reading", "why_it_wraps"]}

Why does the sum wrap?

+++

That is all.
"""
)

RUBRIC = '''\
from autograder.rubric import hidden, points, reading, require

why_it_wraps = reading("why_it_wraps", points=3, criteria=[(3, "names two's complement")])


@points(4, hints=["Add them."])
def test_sums():
    """adds two numbers"""
    from pathlib import Path
    require("a + b" in Path("adder.py").read_text(), "found the sum")


@hidden
@points(2.5)
def test_overflow():
    """does not overflow"""
    secret_operands = (2**31, 2**31)
    require(sum(secret_operands) == 2**32)
'''

STUB = '''\
"""Adds numbers."""


def add(a, b):
    """The sum of both."""
    raise NotImplementedError("your turn")
'''

REFERENCE = '''\
"""Adds numbers."""


def add(a, b):
    """The sum of both."""
    total_of_both_operands = a + b
    return total_of_both_operands
'''

FOLDER = "weeks/week01_numbers"
RUBRICS = "autograder/rubrics/week01_numbers"


def pytest_configure(config: pytest.Config) -> None:
    """Know the marks of the rubrics that are read here."""
    for mark in ("points", "after", "needs", "hidden"):
        config.addinivalue_line("markers", f"{mark}: in a rubric")


class SmallCourse(Course):
    """A course whose files the tests write by their path."""

    def write(self, path: str, text: str) -> Path:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        return target

    def edit(self, path: str, old: str, new: str) -> None:
        text = (self.root / path).read_text()
        assert old in text
        self.write(path, text.replace(old, new))

    def edit_source(self, old: str, new: str) -> None:
        self.edit(f"{FOLDER}/source/01_adding.md", old, new)

    @property
    def adding(self):
        return self.lab("week01/adding")


@pytest.fixture
def small_course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallCourse:
    course = SmallCourse(tmp_path / "course")
    course.write(f"{FOLDER}/source/01_adding.md", SOURCE)
    course.write(f"{FOLDER}/01_adding/adder.py", STUB)
    course.write(f"{FOLDER}/01_adding/data/numbers.csv", "a,b\n1,2\n")
    course.write(f"{RUBRICS}/test_01_adding.py", RUBRIC)
    course.write(f"{RUBRICS}/answers/01_adding/reference/adder.py", REFERENCE)
    monkeypatch.setattr("autograder.loading.RUBRICS", course.root / "autograder/rubrics")
    monkeypatch.chdir(course.root)
    return course
