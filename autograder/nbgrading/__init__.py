"""nbgrader from end to end, with the course's own judging: release, collect, grade, feedback, export."""

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
