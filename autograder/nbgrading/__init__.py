"""nbgrader from end to end, with the course's own judging: release, collect, grade, feedback, export.

What is asked for here is loaded when it is asked for: a worker process needs a small part of it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autograder.nbgrading.chain import Collected, collect, export, feedback, release
    from autograder.nbgrading.grading import grade
    from autograder.nbgrading.job import Settings
    from autograder.nbgrading.records import Status, SubmissionRecord, Summary
    from autograder.nbgrading.regrading import Changed, Regraded, regrade

__all__ = [
    "Changed",
    "Collected",
    "Regraded",
    "Settings",
    "Status",
    "SubmissionRecord",
    "Summary",
    "collect",
    "export",
    "feedback",
    "grade",
    "regrade",
    "release",
]
_HOMES = {
    **dict.fromkeys(("Collected", "collect", "export", "feedback", "release"), "chain"),
    **dict.fromkeys(("Changed", "Regraded", "regrade"), "regrading"),
    **dict.fromkeys(("Status", "SubmissionRecord", "Summary"), "records"),
    "Settings": "job",
    "grade": "grading",
}


def __getattr__(name: str) -> Any:
    """Load the module that a name comes from."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
