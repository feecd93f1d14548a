"""The one root of every error that a person may see: what happened, why, and what to do next."""

from __future__ import annotations


class WorkbookError(Exception):
    """Something that the person can be told in one to three lines.

    Args:
        what: What happened, as a sentence ("The server did not start").
        why: The cause, if it is known.
        next_step: What to do now, as an imperative.
    """

    def __init__(self, what: str, *, why: str = "", next_step: str = "") -> None:
        self.what = what
        self.why = why
        self.next_step = next_step
        super().__init__(what)

    def __str__(self) -> str:
        """The whole message: what, why, next."""
        return " ".join(sentence for sentence in (self.what, self.why, self.next_step) if sentence)


class WorkFault(WorkbookError):
    """The learner's own work is at fault: a check that meets this has failed."""


class Unavailable(WorkbookError):
    """This machine lacks something: a check that meets this is not measured, never failed."""
