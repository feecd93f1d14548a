"""Reads files that untrusted code wrote: plain ones alone, and not more than expected."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def read_plain(path: Path, most: int) -> bytes | None:
    """A plain file's bytes; None if it is not there, is anything else (a link, a pipe), or is bigger.

    Nothing may write into its folder any more: only the last part of the path is checked.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or status.st_size > most:
            return None
        content = file.read(most + 1)
        return content if len(content) <= most else None
