"""Reads a rubric: which checks and readings a lab has, what they are worth and what they wait for."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from autograder.rubric import QUIET_MACHINE, Reading
from labkit.course import Lab
from labkit.errors import WorkbookError

RUBRICS = Path(__file__).parent / "rubrics"
RUBRICS_VARIABLE = "WORKBOOK_RUBRICS"
"""Names the folder of the rubrics where it is not ours: a grading worker has a copy of its own."""


@dataclass(frozen=True)
class CheckSpec:
    """What a rubric says of one check."""

    name: str
    title: str
    points: float
    hints: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    hidden: bool = False

    @property
    def live(self) -> bool:
        """Whether it needs more than the files: such checks come after the others when a week is graded."""
        return bool(self.needs)

    @property
    def timed(self) -> bool:
        """Whether other work on the machine would spoil it: then it has the machine to itself."""
        return QUIET_MACHINE in self.needs


@dataclass(frozen=True)
class Rubric:
    """The checks and readings of one lab."""

    lab: Lab
    path: Path
    checks: tuple[CheckSpec, ...]
    readings: tuple[Reading, ...]

    @property
    def answers(self) -> Path:
        """The folder of the reference, the other right and the wrong answers."""
        return self.path.parent / "answers" / self.lab.name

    @property
    def points(self) -> float:
        """What the checks and readings are worth together."""
        return sum(c.points for c in self.checks) + sum(r.points for r in self.readings)

    def check(self, name: str) -> CheckSpec:
        """The check of that name.

        Raises:
            WorkbookError: There is none.
        """
        for spec in self.checks:
            if spec.name == name.removeprefix("test_"):
                return spec
        names = ", ".join(spec.name for spec in self.checks)
        raise WorkbookError(f"{self.lab.id} has no check {name!r}.", next_step=f"Its checks are: {names}.")

    def with_dependencies(self, names: list[str]) -> list[CheckSpec]:
        """The named checks and all that they depend on, in the rubric's order."""
        wanted: set[str] = set()
        queue = [self.check(name).name for name in names]
        while queue:
            name = queue.pop()
            if name not in wanted:
                wanted.add(name)
                queue.extend(self.check(name).after)
        return [spec for spec in self.checks if spec.name in wanted]


def rubric_path(lab: Lab) -> Path:
    """Where the lab's rubric lies."""
    return Path(os.environ.get(RUBRICS_VARIABLE, RUBRICS)) / lab.assignment / f"test_{lab.name}.py"


def load_rubric(lab: Lab) -> Rubric:
    """Read the lab's rubric.

    Raises:
        WorkbookError: There is no rubric, or it breaks a rule (a check without title or points,
            an `after` that names no check, or one that comes later).
    """
    path = rubric_path(lab)
    if not path.is_file():
        raise WorkbookError(
            f"{lab.id} has no rubric.",
            why=f"{path.parent.name}/{path.name} is not among the rubrics.",
            next_step="Install the workbook again, or write the rubric: CONTRIBUTING.md says how.",
        )
    module = _module(path)
    checks: list[CheckSpec] = []
    for name, value in vars(module).items():
        if name.startswith("test_") and callable(value):
            spec = check_spec(value)
            unknown = set(spec.after) - {earlier.name for earlier in checks}
            if unknown:
                raise WorkbookError(
                    f"{path.name}: {name} comes after {sorted(unknown)}, which no earlier check is called."
                )
            checks.append(spec)
    readings = tuple(value for value in vars(module).values() if isinstance(value, Reading))
    return Rubric(lab, path, tuple(checks), readings)


def check_spec(function: Callable[..., Any]) -> CheckSpec:
    """What the marks and the docstring of a check say."""
    marks: dict[str, pytest.Mark] = {mark.name: mark for mark in getattr(function, "pytestmark", [])}
    title = (function.__doc__ or "").strip().split("\n")[0]
    if not title or "points" not in marks:
        raise WorkbookError(f"The check {function.__name__} needs a docstring (its title) and @points.")
    return CheckSpec(
        name=function.__name__.removeprefix("test_"),
        title=title,
        points=float(marks["points"].args[0]),
        hints=tuple(marks["points"].kwargs["hints"]),
        after=tuple(name.removeprefix("test_") for name in marks["after"].args) if "after" in marks else (),
        needs=marks["needs"].args if "needs" in marks else (),
        hidden="hidden" in marks,
    )


def _module(path: Path) -> ModuleType:
    """Import a rubric by its path: rubrics are ours, and a week's folder is no package."""
    name = f"_rubric_{path.parent.name}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules[name]
    return module
