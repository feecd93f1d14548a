"""Where a cohort is stuck: what most learners failed, how many hints were read, who handed in nothing."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from statistics import median

from autograder.classroom.own_word import OwnWord, read_own_word
from autograder.nbgrading.records import Status, SubmissionRecord
from autograder.nbgrading.scores import open_gradebook, require_assignment
from autograder.nbgrading.settings import Folders
from labkit.course import Course
from labkit.verdicts import Verdict


@dataclass
class CheckStanding:
    """How a cohort did on one check.

    Attributes:
        lab: The lab's id.
        title: The check, as learners read it.
        passed: How many have all its points.
        partly: How many have some.
        failed: How many have none, of those on whom it was decided.
        undecided: How many wait for a person or another machine.
        hints: How many hints were read, as the learners' own copies say.
    """

    lab: str
    title: str
    passed: int = 0
    partly: int = 0
    failed: int = 0
    undecided: int = 0
    hints: int = 0

    @property
    def decided(self) -> int:
        """On how many learners it was decided."""
        return self.passed + self.partly + self.failed

    @property
    def missed_share(self) -> float:
        """The share of those on whom it was decided who have not all points."""
        return (self.partly + self.failed) / self.decided if self.decided else 0.0


@dataclass
class Overview:
    """One assignment of a cohort.

    Attributes:
        assignment: nbgrader's assignment.
        graded: How many were graded.
        learners: How many the gradebook knows.
        median_points: Of the checks' points, among those who handed in.
        maximum: What the checks are worth.
        checks: By the share who missed it, the most missed first.
        not_handed_in: Who handed in nothing.
        not_as_usual: Learners whose status is not `graded`, with the reason.
    """

    assignment: str
    graded: int
    learners: int
    median_points: float
    maximum: float
    checks: list[CheckStanding] = field(default_factory=list)
    not_handed_in: list[str] = field(default_factory=list)
    not_as_usual: dict[str, str] = field(default_factory=dict)


def overview_of(course: Course, assignment: str) -> Overview:
    """Read what grading left and what learners' copies said.

    Raises:
        WorkbookError: The assignment was not released, or a record can't be read.
    """
    folders = Folders.of(course)
    with open_gradebook(folders.gradebook_url) as gradebook:
        require_assignment(gradebook, assignment)
        learners = sorted(str(student.id) for student in gradebook.students)
    records = {who: SubmissionRecord.read(folders.result(who, assignment)) for who in learners}
    there = {who: folders.submitted(who, assignment).is_dir() for who in learners}
    graded = [record for who, record in records.items() if record is not None and there[who]]
    words = [word for who in learners if (word := read_own_word(folders.own_word(who, assignment)))]
    checks = _standings(graded, _hints(words))
    return Overview(
        assignment=assignment,
        graded=len(graded),
        learners=len(learners),
        median_points=median(record.points for record in graded) if graded else 0.0,
        maximum=_maximum(graded),
        checks=sorted(checks, key=lambda check: (-check.missed_share, check.lab)),
        not_handed_in=[who for who in learners if not there[who]],
        not_as_usual={r.learner: r.reason for r in graded if r.status is not Status.GRADED},
    )


def _standings(records: list[SubmissionRecord], hints: Counter[tuple[str, str]]) -> list[CheckStanding]:
    found: defaultdict[tuple[str, str], CheckStanding] = defaultdict(lambda: CheckStanding("", ""))
    for record in records:
        for lab in record.labs:
            for outcome in lab.report.outcomes if lab.report else ():
                standing = found[lab.lab, outcome.check]
                standing.lab, standing.title = lab.lab, outcome.title
                standing.hints = hints[lab.lab, outcome.check]
                if outcome.verdict.needs_manual_grade or outcome.verdict is Verdict.ERROR:
                    standing.undecided += 1
                elif outcome.points >= outcome.maximum:
                    standing.passed += 1
                elif outcome.points > 0:
                    standing.partly += 1
                else:
                    standing.failed += 1
    return list(found.values())


def _hints(words: list[OwnWord]) -> Counter[tuple[str, str]]:
    counted: Counter[tuple[str, str]] = Counter()
    for word in words:
        for lab, said in word.labs.items():
            for check, count in said.hints.items():
                counted[lab, check] += max(0, count)
    return counted


def _maximum(records: list[SubmissionRecord]) -> float:
    worth = {
        (lab.lab, outcome.check): outcome.maximum
        for record in records
        for lab in record.labs
        for outcome in (lab.report.outcomes if lab.report else ())
    }
    return sum(worth.values())
