"""What is handed out with a lab: its folder of stubs, and prepared files such as a model's weights.

Everything that copies a lab for somebody (the learner's copy, nbgrader's source folder, a run) takes its
list of files from here, so that nothing goes along that isn't listed.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from autograder.files import write_atomically
from autograder.sources import read_source
from labkit.course import Course, Lab
from labkit.errors import WorkbookError
from labkit.models import models_folder

_LEFT_OUT = frozenset({"__pycache__", ".ipynb_checkpoints", ".pytest_cache", ".ruff_cache", ".terraform"})
_LEFT_OUT_ENDINGS = frozenset({".pyc", ".log"})


def handed_out(lab: Lab) -> dict[str, Path]:
    """The files of a lab's folder as a learner gets them: the path below it, and where each comes from.

    Raises:
        WorkbookError: A prepared file was not made yet, or has the name of a stub.
    """
    files = {path.relative_to(lab.handout).as_posix(): path for path in _files(lab.handout)}
    for asset in read_source(lab).header.assets:
        path = models_folder(lab.folder.parent.parent) / asset
        if not path.is_file():
            raise WorkbookError(
                f"{lab.id} hands out {asset}, which is not there.",
                why=f"It is made once, into {path.parent}.",
                next_step="Run `make model`, then this again.",
            )
        if path.name in files:
            raise WorkbookError(
                f"{lab.id} hands out two files named {path.name}.",
                why=f"One lies in {lab.handout.name}, the other is the asset {asset}.",
                next_step="Rename one of them.",
            )
        files[path.name] = path
    return files


def lay_handout(lab: Lab, target: Path) -> None:
    """Copy what is handed out with a lab into a folder, over what lies there."""
    for name, path in handed_out(lab).items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target / name)


def lay_tree(course: Course) -> Path:
    """Lay nbgrader's source folder, `build/nbgrader/source/<assignment>/`, from nothing but the listed files.

    The old one is replaced when the new one is whole.

    Raises:
        WorkbookError: A notebook or a prepared file was not made yet.
    """
    target = course.build / "nbgrader" / "source"
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".source-") as scratch:
        fresh = Path(scratch) / "fresh"
        fresh.mkdir()
        for lab in course.labs:
            if not lab.notebook.is_file():
                raise WorkbookError(
                    f"{lab.notebook.name} is not there.", next_step="Run `make notebooks`, then this again."
                )
            folder = fresh / lab.assignment
            write_atomically(folder / lab.notebook.name, lab.notebook.read_bytes())
            lay_handout(lab, folder / lab.name)
        if target.exists():
            target.rename(Path(scratch) / "old")
        fresh.rename(target)
    return target


def _files(folder: Path) -> list[Path]:
    """The plain files below a folder, without what tools leave behind."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and not path.is_symlink()
        and not _LEFT_OUT & set(path.relative_to(folder).parts)
        and path.suffix not in _LEFT_OUT_ENDINGS
    )
