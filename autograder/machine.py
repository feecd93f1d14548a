"""Who has the machine: ordinary work shares it, a timed check has it to itself, whoever started either.

Two files are locked, so that those who share can't keep out for ever the one who wants it alone: whoever
wants anything passes through the first, one at a time, and holds the second while they work. The kernel gives
a lock back when its holder ends, however it ends.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

_POLL_SECONDS = 0.02
_SAY_EVERY = 10.0
Say = Callable[[str], None]


@contextmanager
def shared(say: Say = lambda _: None) -> Generator[None]:
    """Ordinary work: beside others who share, never beside a timed check."""
    with _held(fcntl.LOCK_SH, say, "waits until a timed check has ended"):
        yield


@contextmanager
def alone(say: Say = lambda _: None) -> Generator[None]:
    """A timed check: everyone else's work waits."""
    with _held(fcntl.LOCK_EX, say, "waits until it has the machine to itself"):
        yield


def lock_folder() -> Path:
    """Where the two files lie: the same for all courses and runs of this user."""
    return platformdirs.user_cache_path("ml-infrastructure-workbook")


@contextmanager
def _held(kind: int, say: Say, words: str) -> Generator[None]:
    folder = lock_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        door = os.open(folder / "machine.door", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:  # without a place for the lock there is none; checks work as before
        yield
        return
    try:
        room = os.open(folder / "machine.room", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _take(door, fcntl.LOCK_EX, say, words)
            _take(room, kind, say, words)
            fcntl.flock(door, fcntl.LOCK_UN)
            yield
        finally:
            os.close(room)
    finally:
        os.close(door)


def _take(handle: int, kind: int, say: Say, words: str) -> None:
    told = time.monotonic()
    while True:
        try:
            fcntl.flock(handle, kind | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            time.sleep(_POLL_SECONDS)
            if time.monotonic() - told > _SAY_EVERY:
                told = time.monotonic()
                say(words)
