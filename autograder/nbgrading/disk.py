"""A disk that takes nothing more: said in words, whoever meets it."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from labkit.errors import WorkbookError

NO_PLACE = {errno.ENOSPC: "The disk is full.", errno.EROFS: "The disk can't be written to.",
             errno.EDQUOT: "The quota of the disk is used up."}  # fmt: skip


@contextmanager
def said_if_no_place() -> Iterator[None]:
    """Say in words that the disk takes nothing more.

    Raises:
        WorkbookError: It is full or can't be written to.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in NO_PLACE:
            raise
        raise no_place(error.errno, str(error.filename or "")) from error


def no_place(number: int, where: str = "") -> WorkbookError:
    """The error for a disk that takes nothing more."""
    return WorkbookError(
        f"Grading was stopped: {NO_PLACE[number][0].lower()}{NO_PLACE[number][1:]}",
        why=f"{where} could not be written." if where else "",
        next_step="Make room, then run the same command again: it goes on from here, and nothing is lost.",
    )
