"""Where the course's parts lie: labs, their notebooks and the files handed out with them.

A lab is found by what is on disk: `weeks/week11_serving/source/01_fastapi_server.md` is the lab
`week11/fastapi_server`, and `projects/project1_production_service/source/*.md` is `project1`.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import labkit
from labkit.errors import WorkbookError

_LAB_FILE = re.compile(r"(?P<number>\d\d)_(?P<slug>[a-z0-9_]+)\.md")


@dataclass(frozen=True)
class Lab:
    """One lab: a notebook, the files handed out with it, and the folder that holds both.

    Attributes:
        id: How people name it, `week11/fastapi_server` or `project1`.
        assignment: nbgrader's assignment and the folder's name, `week11_serving`.
        name: The notebook's name without its ending, `01_fastapi_server`.
        folder: The assignment's folder in the repository.
    """

    id: str
    assignment: str
    name: str
    folder: Path

    @property
    def source(self) -> Path:
        """The edited form, MyST Markdown."""
        return self.folder / "source" / f"{self.name}.md"

    @property
    def notebook(self) -> Path:
        """The notebook generated from `source`."""
        return self.folder / f"{self.name}.ipynb"

    @property
    def handout(self) -> Path:
        """The folder of files handed out with the notebook; it may not exist."""
        return self.folder / self.name

    @cached_property
    def title(self) -> str:
        """What the notebook is called: its first heading."""
        heading = re.search(r"^# +(.+?) *$", self.source.read_text(), re.MULTILINE)
        return heading[1] if heading else self.name[3:].replace("_", " ").capitalize()


@dataclass(frozen=True)
class Course:
    """All labs below one folder, the repository's root or an unpacked package."""

    root: Path

    @cached_property
    def labs(self) -> list[Lab]:
        """Every lab, in the course's order."""
        return [
            _lab(source, match)
            for pattern in ("weeks/week*/source/*.md", "projects/project*/source/*.md")
            for source in sorted(self.root.glob(pattern))
            if (match := _LAB_FILE.fullmatch(source.name))
        ]

    @property
    def assignments(self) -> dict[str, list[Lab]]:
        """The labs of each assignment, by its name."""
        grouped: dict[str, list[Lab]] = {}
        for lab in self.labs:
            grouped.setdefault(lab.assignment, []).append(lab)
        return grouped

    @property
    def build(self) -> Path:
        """Where everything goes that can be made again."""
        return self.root / "build"

    @property
    def learn(self) -> Path:
        """The learner's copy, which is never overwritten."""
        return self.root / "learn"

    def lab(self, lab_id: str) -> Lab:
        """The lab of that id.

        Raises:
            WorkbookError: There is none; the message names the nearest.
        """
        for lab in self.labs:
            if lab.id == lab_id.strip("/"):
                return lab
        near = difflib.get_close_matches(lab_id, [lab.id for lab in self.labs], n=1, cutoff=0.4)
        known = ", ".join(lab.id for lab in self.labs)
        raise WorkbookError(
            f"There is no lab {lab_id!r}.",
            next_step=f"Did you mean {near[0]}?" if near else f"There are: {known}.",
        )

    def select(self, wanted: str | None) -> list[Lab]:
        """The labs that a lab's id, a week (`week11`), an assignment or nothing at all names."""
        if wanted is None:
            return self.labs
        wanted = wanted.strip("/")
        chosen = [lab for lab in self.labs if wanted in (lab.assignment, lab.assignment.split("_")[0])]
        return chosen or [self.lab(wanted)]


def _lab(source: Path, match: re.Match[str]) -> Lab:
    folder = source.parent.parent
    prefix = folder.name.split("_")[0]
    lab_id = f"{prefix}/{match['slug']}" if prefix.startswith("week") else prefix
    return Lab(id=lab_id, assignment=folder.name, name=source.stem, folder=folder)


def find_course(start: Path | None = None) -> Course:
    """The course that `start` (the current folder by default) lies in, else the one this package came from.

    Raises:
        WorkbookError: Neither holds a `weeks` folder.
    """
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents, Path(labkit.__file__).resolve().parent.parent):
        if (folder / "weeks").is_dir():
            return Course(folder)
    raise WorkbookError(
        f"{here} is not inside the workbook.",
        why="No folder named weeks was found in it or above it.",
        next_step="Change to the folder that you cloned or unpacked, then run the command again.",
    )
