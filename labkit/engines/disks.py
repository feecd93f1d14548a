"""Disks of a bounded size: files with an ext4 file system, which take only the room that is used of them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from labkit.errors import Unavailable

_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"
# Thrown away after use: neither a journal nor room kept for root.
_FORMAT = ("-q", "-F", "-m", "0", "-O", "^has_journal", "-E", "lazy_itable_init=1,nodiscard")


def make(file: Path, size: int) -> Path:
    """Make an empty disk of that many bytes.

    Raises:
        Unavailable: There is no mkfs.ext4, or it refused.
    """
    tool = shutil.which("mkfs.ext4", path=_PATH)
    if tool is None:
        raise Unavailable("There is no mkfs.ext4 here.", next_step="Install Debian's package e2fsprogs.")
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as empty:
        empty.truncate(size)
    _run([tool, *_FORMAT, str(file)])
    return file


def copy(disk: Path, target: Path) -> Path:
    """Copy a disk, without what was never written to; shares blocks where the file system can.

    Raises:
        Unavailable: There is no room.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    _run(["cp", "--sparse=always", "--reflink=auto", str(disk), str(target)])
    return target


def move(disk: Path, target: Path) -> Path:
    """Put a disk in its place, all at once."""
    draft = target.with_name(f"{target.name}.new")
    if disk.stat().st_dev == target.parent.stat().st_dev:
        return disk.replace(target)
    copy(disk, draft)
    return draft.replace(target)


def _run(command: list[str]) -> None:
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise Unavailable("A disk could not be made.", why=ran.stderr.strip()[-200:])
