"""What a learner's own copy says of itself (`workbook.json` in a handed-in zip): hints read, points seen.

It is the learner's word. It tells an instructor where people are stuck; it never earns a point.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from autograder.classroom.handing_in import OWN_WORD
from autograder.files import write_atomically

_MOST_BYTES = 100_000


class LabWord(BaseModel):
    """Of one lab: the points of the last check and how many hints were read, by check."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    points: float | None = Field(default=None, ge=0, le=10_000)
    hints: dict[str, int] = Field(default_factory=dict)


class OwnWord(BaseModel):
    """Of one assignment, by the lab's id."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    format: int
    assignment: str
    labs: dict[str, LabWord] = Field(default_factory=dict)


def keep_own_word(zipped: Path, assignment: str, to: Path) -> OwnWord | None:
    """Keep the word that lies in a zip, if there is a sound one; gives it."""
    try:
        with zipfile.ZipFile(zipped) as archive:
            for entry in archive.infolist():
                if entry.filename.endswith(f"{assignment}/{OWN_WORD}") and entry.file_size <= _MOST_BYTES:
                    word = OwnWord.model_validate_json(archive.read(entry))
                    write_atomically(to, f"{word.model_dump_json(indent=1)}\n".encode())
                    return word
    except (OSError, ValueError, RuntimeError, zipfile.BadZipFile):
        return None
    return None


def read_own_word(path: Path) -> OwnWord | None:
    """The word that was kept, if there is one."""
    try:
        return OwnWord.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
