"""What became of one request."""

from __future__ import annotations

from enum import IntEnum


class Outcome(IntEnum):
    """How one request ended. Everything but `OK` is a miss.

    The numbers are what a `Recording` stores.
    """

    UNFINISHED = 0
    OK = 1
    WRONG_STATUS = 2
    WRONG_ANSWER = 3
    TIMEOUT = 4
    REFUSED = 5
    BROKEN = 6

    @property
    def words(self) -> str:
        """The outcome as a person reads it."""
        return {
            "REFUSED": "no connection",
            "BROKEN": "connection broken or answer cut short",
            "TIMEOUT": "time-out",
        }.get(self.name, self.name.lower().replace("_", " "))
