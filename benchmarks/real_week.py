"""How long the two passes of a real week take: the sample cohort as often as needed, graded as any work."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from autograder.cohort import lay_cohort
from autograder.handouts import lay_tree
from autograder.nbgrading import Summary, grade, release
from autograder.nbgrading.grading import GradingEvent, Step
from autograder.nbgrading.settings import Folders
from benchmarks.table import Row
from labkit.course import Course, find_course

_LIVE = ("judge live", "measure again")


class _StaticDone(Exception):
    """The static pass is over."""


def real_week(assignment: str, learners: int, live: int) -> Iterator[Row]:
    """Minutes of the static pass for all learners, and of the live pass for the first so many.

    Args:
        assignment: nbgrader's assignment, `week11_serving`.
        learners: How many hand in; the cohort's twelve in turn.
        live: How many of them have their live checks run.
    """
    with _course_of(assignment, learners) as (course, names):
        started = time.monotonic()
        with suppress(_StaticDone):
            grade(assignment, course=course, jobs=2, on_event=_until_static_is_done(len(names)))
        minutes = (time.monotonic() - started) / 60
        yield Row(f"{assignment}, static pass for {learners}", [minutes], "min")
        if not live:
            return
        summary = grade(assignment, names[:live], course=course, jobs=2)
        if summary.own_errors:
            raise RuntimeError(f"our own errors: {summary.own_errors}")
        minutes = summary.grader_seconds["live pass"] / 60
        yield Row(f"{assignment}, live pass for {live}", [minutes], "min")
        yield Row("... of which the workers were in live checks", [_in_live_checks(summary) / 60], "min")


def _until_static_is_done(total: int) -> Callable[[GradingEvent], None]:
    """A listener that ends the run after the static pass; what was found stays in the spool."""

    def note(event: GradingEvent) -> None:
        if isinstance(event, Step) and event.part == "static" and event.done == total:
            raise _StaticDone

    return note


def _in_live_checks(summary: Summary) -> float:
    return sum(summary.phases.get(phase, 0.0) for phase in _LIVE)


@contextmanager
def _course_of(assignment: str, learners: int) -> Iterator[tuple[Course, Sequence[str]]]:
    """This course with a gradebook of its own and so many submissions; gives both, and removes them."""
    here = find_course()
    with tempfile.TemporaryDirectory(prefix="workbook-bench-week-") as folder:
        course = Course(Path(folder))
        for part in ("weeks", "projects", "build/models"):
            if (here.root / part).exists():
                (course.root / part).parent.mkdir(exist_ok=True)
                (course.root / part).symlink_to(here.root / part, target_is_directory=True)
        lay_tree(course)
        release(assignment, course=course)
        cohort = [member.learner for member in lay_cohort(assignment, course=course)]
        folders = Folders.of(course)
        names = cohort[:learners]
        for number in range(len(cohort), learners):
            names.append(f"learner-{number + 1:02}")
            shutil.copytree(
                folders.submitted(cohort[number % len(cohort)], assignment),
                folders.submitted(names[-1], assignment),
                symlinks=True,
            )
        for number in range(learners, len(cohort)):
            shutil.rmtree(folders.submitted(cohort[number], assignment).parent)
        yield course, names
