"""Takes zips as learning platforms give them, and lays their files as nbgrader wants them.

A zip is a stranger's: nothing in it says who handed it in, or when. Both come from the platform's own file
and folder names and from the file's time. Only plain files below the assignment's own folder are unpacked.
"""

from __future__ import annotations

import re
import stat
import unicodedata
import zipfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path, PurePosixPath

from autograder.classroom.handing_in import OWN_WORD
from autograder.classroom.roster import Learner
from autograder.nbgrading.files import LEFT_OUT, Limits

_RATIO = 200
"""A file that unpacks to more than this many times its size is no homework."""


class Unusable(Exception):
    """A zip that can't be taken; the text says why, without the file's name."""


@dataclass(frozen=True)
class Handed:
    """One zip that a learner handed in.

    Attributes:
        learner: The roster's id.
        zip: The file.
        at: When it was handed in: the file's own time.
    """

    learner: str
    zip: Path
    at: datetime


@dataclass
class Inbox:
    """What lies in a folder of zips.

    Attributes:
        newest: The last zip of each learner, in the order of their ids.
        older: Zips that a later one of the same learner replaces.
        refused: One sentence for each that could not be given to a learner.
    """

    newest: list[Handed] = field(default_factory=list)
    older: list[Handed] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def read_inbox(folder: Path, roster: list[Learner]) -> Inbox:
    """Find whose each zip below a folder is.

    The name of the zip or of a folder above it has to begin with, or be, a learner's id, e-mail address or
    name: `ada.zip`, `ada_week11_serving.zip`, `Ada Lovelace_123_assignsubmission_file/week11.zip`.

    Args:
        folder: Where a platform's download was unpacked.
        roster: Everyone who may hand in.
    """
    inbox = Inbox()
    handed: list[Handed] = []
    for path in sorted(folder.rglob("*.zip")):
        if path.is_symlink() or not path.is_file():
            continue
        shown = path.relative_to(folder)
        whose = _whose(shown, roster)
        if len(whose) != 1:
            why = "more than one learner could be meant" if whose else "no learner of the roster is named so"
            inbox.refused.append(f"{str(shown)!a} was left out: {why}.")
            continue
        at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        handed.append(Handed(whose.pop(), path, at))
    handed.sort(key=lambda each: (each.learner, each.at, each.zip.name))
    for _, of_one in groupby(handed, key=lambda each: each.learner):
        *older, newest = of_one
        inbox.older += older
        inbox.newest.append(newest)
    return inbox


def unpack(path: Path, assignment: str, target: Path, limits: Limits | None = None) -> list[str]:
    """Unpack one zip's files of an assignment.

    Args:
        path: The zip.
        assignment: Whose folder in it is meant; a zip without any folder of that name is another week's.
        target: The files go here; it is made.
        limits: How much a submission may hold.

    Returns:
        One sentence for each entry that was left out.

    Raises:
        Unusable: It is not a zip, is encrypted, holds too much, or is of another assignment.
    """
    limits = limits or Limits()
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            if len(entries) > limits.files:
                raise Unusable(f"It holds more than {limits.files:,} files.")
            root = _root(entries, assignment)
            return _extract(archive, entries, root, target, limits.total_bytes)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, OSError, ValueError, RuntimeError) as error:
        encrypted = "password" in str(error) or "encrypted" in str(error)
        raise Unusable("It is encrypted." if encrypted else "It is not a whole zip file.") from error


def _root(entries: list[zipfile.ZipInfo], assignment: str) -> PurePosixPath:
    """The folder in the zip that holds the assignment; platforms and people put others around it."""
    parents = [PurePosixPath(entry.filename).parts[:-1] for entry in entries]
    for parts in parents:
        if assignment in parts:
            return PurePosixPath(*parts[: parts.index(assignment) + 1])
    tops = sorted({parts[0] for parts in parents if parts})
    raise Unusable(
        f"It holds no folder {assignment}" + (f", but {', '.join(map(ascii, tops[:3]))}." if tops else ".")
    )


def _extract(
    archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo], root: PurePosixPath, target: Path, room: int
) -> list[str]:
    left_out: list[str] = []
    target.mkdir(parents=True, exist_ok=True)
    seen: set[str] = set()
    for entry in entries:
        path = PurePosixPath(entry.filename)
        if not path.is_relative_to(root) or (path.name == OWN_WORD and path.parent == root):
            continue
        inside = path.relative_to(root)
        if LEFT_OUT & set(inside.parts):
            continue
        if why := _odd(entry, inside, seen):
            left_out.append(f"{entry.filename!a} was left out: {why}.")
            continue
        seen.add(str(inside).casefold())
        room -= entry.file_size
        if room < 0:
            raise Unusable("It unpacks to more than a submission may hold.")
        if entry.file_size > max(1_000_000, _RATIO * entry.compress_size):
            raise Unusable(f"{entry.filename!a} unpacks to {entry.file_size / 1e6:,.0f} MB.")
        place = target / inside
        place.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(entry) as packed:
            content = packed.read(entry.file_size + 1)
        if len(content) != entry.file_size:
            raise Unusable(f"{entry.filename!a} is not as big as the zip says.")
        place.write_bytes(content)
    return left_out


def _odd(entry: zipfile.ZipInfo, inside: PurePosixPath, seen: set[str]) -> str:
    """Why an entry is not taken; empty for a plain file with a plain name."""
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if ".." in inside.parts or inside.is_absolute() or "\\" in entry.filename or "\x00" in entry.filename:
        return "its path leads elsewhere"
    if kind not in (0, stat.S_IFREG):
        return "it is not a plain file"
    if not str(inside).isprintable():
        return "its name can't be shown"
    if str(inside).casefold() in seen:
        return "a file of that name came before"
    return ""


# ---- whose it is ------------------------------------------------------------------------------------------


def _whose(path: Path, roster: list[Learner]) -> set[str]:
    """The learners that a path's own parts name, the nearest part first."""
    for part in (path.stem, *reversed(path.parts[:-1])):
        words = _plain(part)
        exact = {learner.id for learner in roster if words in _names(learner)}
        if exact:
            return exact
        found = {
            learner.id: max((len(name) for name in _names(learner) if _begins(words, name)), default=0)
            for learner in roster
        }
        longest = max(found.values(), default=0)
        if longest:
            return {learner for learner, length in found.items() if length == longest}
    return set()


def _names(learner: Learner) -> set[str]:
    full = f"{learner.first_name} {learner.last_name}"
    swapped = f"{learner.last_name} {learner.first_name}"
    return {plain for text in (learner.id, learner.email, full, swapped) if (plain := _plain(text))}


def _begins(words: str, name: str) -> bool:
    return words.startswith(f"{name} ")


def _plain(text: str) -> str:
    """Letters and digits without case and accents, anything between them as one space."""
    bare = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return " ".join(re.findall(r"[a-z0-9]+", bare.casefold()))
