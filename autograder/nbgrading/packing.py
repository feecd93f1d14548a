"""Folders as bytes, for workers on other machines: plain files whole, and what is none only by its kind."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from pathlib import Path

from autograder.nbgrading.files import LEFT_OUT, Limits

_SIZE = "workbook.size"


def pack(folder: Path, limits: Limits | None = None) -> bytes:
    """Pack a folder; empty bytes where there is none.

    What goes beyond the limits comes along as empty files of the same names and sizes: it is refused there
    for the same reason as here.
    """
    limits = limits or Limits()
    if not folder.is_dir() or folder.is_symlink():
        return b""
    packed = io.BytesIO()
    seen, total = 0, 0
    with tarfile.open(fileobj=packed, mode="w:gz", format=tarfile.PAX_FORMAT, compresslevel=1) as archive:
        for parent, folders, files in os.walk(folder):
            folders[:] = sorted(set(folders) - LEFT_OUT)
            for name in sorted({*folders, *files} - LEFT_OUT):
                path = Path(parent, name)
                status = path.lstat()
                seen += 1
                if seen > limits.files + 1:
                    break
                member = tarfile.TarInfo(str(path.relative_to(folder)))
                if stat.S_ISLNK(status.st_mode):
                    member.type, member.linkname = tarfile.SYMTYPE, str(path.readlink())
                elif stat.S_ISDIR(status.st_mode):
                    member.type = tarfile.DIRTYPE
                elif not stat.S_ISREG(status.st_mode):
                    member.type = tarfile.FIFOTYPE
                else:
                    total += status.st_size
                    if total > limits.total_bytes:
                        member.pax_headers = {_SIZE: str(status.st_size)}
                    else:
                        content = path.read_bytes()
                        member.size = len(content)
                        archive.addfile(member, io.BytesIO(content))
                        continue
                archive.addfile(member)
    return packed.getvalue()


def unpack(packed: bytes, target: Path) -> None:
    """Lay what `pack` packed into a fresh folder; empty bytes make none.

    Raises:
        ValueError: A name leads out of the folder.
    """
    if not packed:
        return
    target.mkdir(parents=True)
    with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as archive:
        for member in archive:
            name = Path(member.name)
            if name.is_absolute() or ".." in name.parts:
                raise ValueError(f"{member.name!a} leads out of the folder")
            path = target / name
            if any(parent.is_symlink() for parent in path.parents if parent != target):
                raise ValueError(f"{member.name!a} lies behind a link")
            if member.isdir():
                path.mkdir(parents=True, exist_ok=True)
            elif member.issym():
                path.symlink_to(member.linkname)
            elif member.isfifo():
                os.mkfifo(path)
            else:
                content = archive.extractfile(member)
                with path.open("xb") as file:
                    file.write(content.read() if content else b"")
                    if _SIZE in member.pax_headers:
                        file.truncate(int(member.pax_headers[_SIZE]))
