"""The learners' package as a wheel: `pip install` of it gives `workbook`, which lays the course.

The wheel has no requirements. It holds the zip of `autograder.classroom.bundle` and the launcher, so that the
course's own environment stays the one that is pinned, whatever environment the wheel is installed in.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from autograder.classroom import launcher
from autograder.classroom.bundle import Bundle
from autograder.files import write_atomically
from labkit.course import Course
from labkit.errors import WorkbookError

_MODULE = "ml_infrastructure_workbook"
# The hook of PEP 517, called as a build front end does; setuptools is in the environment, nothing is fetched.
_BUILD = "from setuptools import build_meta; print(build_meta.build_wheel('dist'))"
_EPOCH = "315532800"  # 1980, the first year that a zip can tell: the same package gives the same wheel


def make_wheel(course: Course, bundle: Bundle) -> Path:
    """Write the wheel beside the zip.

    Args:
        course: The course that the package was made from.
        bundle: The package.

    Returns:
        The wheel; its version ends with the commit that the package was made from.

    Raises:
        WorkbookError: The course's pyproject.toml can't be read, or the wheel could not be built.
    """
    with tempfile.TemporaryDirectory(prefix="workbook-wheel-") as scratch:
        tree = Path(scratch)
        module = tree / _MODULE
        module.mkdir()
        (module / "__init__.py").write_text(f'"""{_said(course)["description"]}."""\n')
        (module / "launcher.py").write_bytes(Path(launcher.__file__).read_bytes())
        (module / launcher.PACKAGE.name).write_bytes(bundle.path.read_bytes())
        (tree / "README.md").write_bytes((course.root / "docs" / "learner.md").read_bytes())
        (tree / "LICENSE").write_bytes((course.root / "LICENSE").read_bytes())
        (tree / "pyproject.toml").write_text(_pyproject(_said(course), bundle))
        built = subprocess.run(
            [sys.executable, "-c", _BUILD],
            cwd=tree,
            env={**os.environ, "SOURCE_DATE_EPOCH": _EPOCH},
            capture_output=True,
            text=True,
            check=False,
        )
        if built.returncode:
            last = (built.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise WorkbookError("The wheel could not be built.", why=f"setuptools said: {last}")
        (wheel,) = (tree / "dist").glob("*.whl")
        target = bundle.path.with_name(wheel.name)
        for earlier in bundle.path.parent.glob(f"{_MODULE}-*.whl"):
            earlier.unlink()
        write_atomically(target, wheel.read_bytes())
    return target


def _said(course: Course) -> dict[str, str]:
    """What the course's own pyproject.toml says of it."""
    path = course.root / "pyproject.toml"
    try:
        project = tomllib.loads(path.read_text())["project"]
        return {
            name: project[name] for name in ("name", "version", "description", "license", "requires-python")
        }
    except (OSError, KeyError, tomllib.TOMLDecodeError) as error:
        raise WorkbookError(
            "A wheel needs the course's name and version.",
            why=f"pyproject.toml could not be read: {error}.",
            next_step="Put it back, then run this again.",
        ) from error


def _pyproject(said: dict[str, str], bundle: Bundle) -> str:
    version = f"{said['version']}+g{bundle.commit}" + (".changed" if bundle.changed else "")
    project = {**said, "version": version, "readme": "README.md"}
    lines = [f"{name} = {json.dumps(value)}" for name, value in project.items()]
    return "\n".join(
        [
            "[project]",
            *lines,
            'license-files = ["LICENSE"]',
            "[project.scripts]",
            f'workbook = "{_MODULE}.launcher:main"',
            "[build-system]",
            'requires = ["setuptools"]',
            'build-backend = "setuptools.build_meta"',
            "[tool.setuptools]",
            f"packages = [{json.dumps(_MODULE)}]",
            "[tool.setuptools.package-data]",
            f'{_MODULE} = ["*.zip"]\n',
        ]
    )
