"""Takes over what a learner handed in: plain files alone, few enough and small enough, and no links."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
from dataclasses import dataclass, field
from pathlib import Path

from labkit.errors import WorkbookError

LEFT_OUT = {".ipynb_checkpoints", "__pycache__", ".git", ".venv", "node_modules", ".pytest_cache"}
LEARNER_NAME = re.compile(r"[\w@+-][\w.@+-]{0,127}")
"""What a folder of submissions may be called."""
_DEEPEST = 24


@dataclass(frozen=True)
class Limits:
    """How much one submission may hold.

    Attributes:
        files: How many files and folders.
        total_bytes: All of them together.
    """

    files: int = 2_000
    total_bytes: int = 200_000_000


class TooMuch(WorkbookError):
    """A folder holds more than a submission may."""


@dataclass
class Copied:
    """What was copied, and what was not.

    Attributes:
        files: Paths below the folder, in order.
        left_out: One sentence for each thing that was not taken.
    """

    files: list[Path] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    seen: int = 0
    total_bytes: int = 0


def copy_plain(source: Path, target: Path, limits: Limits | None = None) -> Copied:
    """Copy the plain files below `source`, and nothing else.

    Links, devices and names that can't be shown are left out and named; caches are left out silently.

    Raises:
        TooMuch: There are more files or bytes than the limits allow; what was copied stays.
        WorkbookError: A folder or file can't be read.
    """
    copied = Copied()
    target.mkdir(parents=True, exist_ok=True)
    try:
        _copy(source, target, Path(), copied, limits or Limits())
    except PermissionError as error:
        raise WorkbookError(
            f"{error.filename} can't be read.",
            next_step="Give yourself the right to read it, then try again.",
        ) from error
    copied.files.sort()
    return copied


def _copy(source: Path, target: Path, below: Path, copied: Copied, limits: Limits) -> None:
    with os.scandir(source / below) as listing:
        entries = sorted(listing, key=lambda entry: entry.name)
    for entry in entries:
        path = below / entry.name
        if entry.name in LEFT_OUT:
            continue
        copied.seen += 1
        if copied.seen > limits.files:
            raise TooMuch(f"It holds more than {limits.files:,} files and folders.")
        if not entry.name.isprintable():
            copied.left_out.append(f"{str(path)!a} was left out: its name can't be shown.")
        elif entry.is_symlink():
            copied.left_out.append(f"{path} was left out: it is a link.")
        elif entry.is_dir(follow_symlinks=False):
            if len(path.parts) > _DEEPEST:
                raise TooMuch(f"Its folders are nested more than {_DEEPEST} deep.")
            (target / path).mkdir(exist_ok=True)
            _copy(source, target, path, copied, limits)
        elif entry.is_file(follow_symlinks=False):
            _copy_file(source / path, target / path, copied, limits)
            copied.files.append(path)
        else:
            copied.left_out.append(f"{path} was left out: it is not a plain file.")


def _copy_file(source: Path, target: Path, copied: Copied, limits: Limits) -> None:
    """Copy one file's bytes; its owner, its rights and a link put in its place meanwhile don't come along."""
    handle = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(handle, "rb") as reading:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            return
        copied.total_bytes += status.st_size
        if copied.total_bytes > limits.total_bytes:
            raise TooMuch(f"It holds more than {limits.total_bytes / 1e6:,.0f} MB.")
        with target.open("wb") as writing:
            shutil.copyfileobj(reading, writing, 1 << 20)


def fingerprint(folder: Path, limits: Limits | None = None) -> str:
    """The hash of what was handed in: names and contents, of what is too much names and sizes alone."""
    digest = hashlib.sha256()
    limits = limits or Limits()
    left_files, left_bytes = limits.files, limits.total_bytes
    if not folder.is_dir() or folder.is_symlink():
        return ""
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(set(folders) - LEFT_OUT)
        for name in sorted({*files, *folders} - LEFT_OUT):
            path = Path(parent, name)
            status = path.lstat()
            said = f"{path.relative_to(folder)}\0{stat.S_IFMT(status.st_mode)}\0{status.st_size}\0"
            digest.update(said.encode(errors="surrogateescape"))
            left_files -= 1
            left_bytes -= status.st_size
            if stat.S_ISREG(status.st_mode) and left_bytes >= 0:
                digest.update(_hash(path))
            if left_files < 0:
                return digest.hexdigest()
    return digest.hexdigest()


def _hash(path: Path) -> bytes:
    """The hash of a file; nothing if we may not read it, which is said where it is to be judged."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except PermissionError:
        return b""


def replace_folder(prepared: Path, target: Path) -> None:
    """Put a finished folder in the place of another, in one step as far as the file system allows."""
    target.parent.mkdir(parents=True, exist_ok=True)
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    prepared.rename(target)
    shutil.rmtree(old, ignore_errors=True)
