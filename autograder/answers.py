"""The answers of a rubric: what each hands in, and which checks it must lose.

Each folder of `answers/<lab>/` lays its files over the handout; its `answer.toml` names the checks that it
loses. `reference` and `right_*` lose none; the blank is the handout as it is, and loses all. With
`upon = "reference"` an answer of many files holds those alone that differ from the reference.
"""

from __future__ import annotations

import shutil
import tomllib
from dataclasses import dataclass
from pathlib import Path

from autograder.loading import Rubric
from labkit.course import Lab
from labkit.errors import WorkbookError

BLANK = "blank"
REFERENCE = "reference"


@dataclass(frozen=True)
class Answer:
    """One answer of a lab.

    Attributes:
        lab: The lab.
        name: `reference`, `right_...`, `wrong_...` or `blank`.
        about: What it does, in a sentence.
        folder: Its files; None for the handout as it is.
        loses: The checks that it must lose.
        upon: The files that lie beneath its own, if it says so: the reference's.
    """

    lab: Lab
    name: str
    about: str
    folder: Path | None
    loses: tuple[str, ...]
    upon: Path | None = None

    @property
    def folders(self) -> list[Path]:
        """What is laid over the handout, in this order."""
        return [folder for folder in (self.upon, self.folder) if folder is not None]

    def lay(self, target: Path) -> Path:
        """Lay the handout and this answer's files over it; gives the folder of the assignment."""
        shutil.copytree(self.lab.handout, target / self.lab.name, dirs_exist_ok=True)
        self.lay_over(target / self.lab.name)
        return target

    def lay_over(self, target: Path) -> None:
        """Put this answer's files over a copy of the handout."""
        ignore = shutil.ignore_patterns("answer.toml", "__pycache__")
        for folder in self.folders:
            shutil.copytree(folder, target, dirs_exist_ok=True, ignore=ignore)


def answers_of(rubric: Rubric) -> list[Answer]:
    """All answers of a rubric and the blank, the reference first.

    Raises:
        WorkbookError: An answer says what can't be (no `answer.toml`, a check that is not there), or there is
            no reference.
    """
    lab = rubric.lab
    found = [Answer(lab, BLANK, "The handout as it is.", None, tuple(check.name for check in rubric.checks))]
    folders = rubric.answers.iterdir() if rubric.answers.is_dir() else ()
    for folder in sorted(path for path in folders if path.is_dir()):
        try:
            said = tomllib.loads((folder / "answer.toml").read_text(encoding="utf-8"))
            loses = tuple(rubric.check(name).name for name in said["loses"])
        except (OSError, KeyError, ValueError) as error:
            raise WorkbookError(
                f"The answer {folder.name} of {lab.id} has no readable answer.toml.",
                why=f"{type(error).__name__}: {error}.",
                next_step='It holds two lines: about = "..." and loses = ["check", ...].',
            ) from error
        if bool(loses) != folder.name.startswith("wrong_"):
            raise WorkbookError(
                f"The answer {folder.name} of {lab.id} loses {list(loses)}.",
                next_step="wrong_* must lose a check; reference and right_* must lose none.",
            )
        upon = rubric.answers / str(said["upon"]) if "upon" in said else None
        if upon is not None and not upon.is_dir():
            raise WorkbookError(
                f"The answer {folder.name} of {lab.id} lies upon {upon.name}, which is not there."
            )
        found.append(Answer(lab, folder.name, str(said.get("about", "")), folder, loses, upon))
    if not any(answer.name == REFERENCE for answer in found):
        raise WorkbookError(f"{lab.id} has no reference answer.", next_step="Add answers/.../reference.")
    return sorted(found, key=lambda answer: (answer.name != REFERENCE, answer.name))
