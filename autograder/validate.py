"""The grader graded: every answer of a rubric must earn just what it says, and the blank nothing.

An outcome is kept under the hash of the answer, the handout, the rubric and the code, so that only what
changed is run again.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import autograder
import labkit
from autograder.answers import BLANK, Answer, answers_of
from autograder.checking import run_checks
from autograder.loading import Rubric, load_rubric
from autograder.results import Outcome, Report
from labkit.course import Lab
from labkit.verdicts import Verdict

TRIES = 3
"""An inconclusive check of an answer is run again, this often at most."""


@dataclass(frozen=True)
class Validation:
    """What an answer earned, held against what it should.

    Attributes:
        verdict: `passed` if it is as it should be, `failed` if not, `inconclusive` if a check
            could not decide within `TRIES` tries.
        wrong: What differs, one sentence each.
    """

    answer: Answer
    report: Report
    verdict: Verdict
    wrong: tuple[str, ...]
    cached: bool


def validate(
    lab: Lab, cache: Path, *, everything: bool = False, only: Callable[[Answer], bool] = lambda _: True
) -> Iterator[Validation]:
    """Judge the lab's answers one after another.

    Args:
        lab: Whose answers.
        cache: The folder of kept outcomes.
        everything: Run a wrong answer on all checks, not only those that it names and what they
            depend on, and run all of them anew.
        only: Which answers.
    """
    rubric = load_rubric(lab)
    code = fingerprint(rubric)
    for answer in filter(only, answers_of(rubric)):
        parts = None if everything or answer.name == BLANK or not answer.loses else list(answer.loses)
        key = hashlib.sha256(f"{code} {parts} {hash_tree(answer.folders)}".encode()).hexdigest()
        kept = cache / f"{key}.json"
        report = None if everything else _read(kept)
        cached = report is not None
        if report is None:
            report = _judge(answer, parts)
            if report.verdict is not Verdict.ERROR:
                cache.mkdir(parents=True, exist_ok=True)
                kept.write_text(report.model_dump_json())
        yield _compare(rubric, answer, report, cached)


def fingerprint(rubric: Rubric) -> str:
    """The hash of all that an outcome depends on besides the answer."""
    root = Path(autograder.__file__).parent
    code = [p for package in (root, Path(labkit.__file__).parent) for p in package.rglob("*.py")]
    shared = [p for p in code if "rubrics" not in p.parts]
    ours = [
        rubric.path,
        *sorted(p for p in rubric.path.parent.glob("*.py") if not p.name.startswith("test_")),
        rubric.lab.handout,
        root.parent / "environments" / "core.txt",
    ]
    return hash_tree([*shared, *ours])


def _judge(answer: Answer, parts: list[str] | None) -> Report:
    with tempfile.TemporaryDirectory(prefix="workbook-answer-") as scratch:
        work = answer.lay(Path(scratch) / answer.lab.assignment)
        for _ in range(TRIES):
            report = run_checks(answer.lab, work, parts=parts, grading=True)
            if report.verdict is not Verdict.INCONCLUSIVE:
                break
    return report


def _compare(rubric: Rubric, answer: Answer, report: Report, cached: bool) -> Validation:
    """Hold the outcomes against what the answer says that it loses."""
    wrong: list[str] = []
    undecided: list[str] = []
    lost = set(answer.loses)
    for outcome in report.outcomes:
        if outcome.verdict is Verdict.INCONCLUSIVE:
            undecided.append(f"{outcome.check} is inconclusive after {TRIES} tries: {outcome.evidence}")
        elif outcome.verdict is Verdict.ERROR:
            wrong.append(f"{outcome.check} broke: {outcome.evidence}")
        elif outcome.check in lost:
            if not _loses(outcome, answer):
                wrong.append(f"{outcome.check} earned {outcome.points} of {outcome.maximum}, but should lose")
        elif outcome.verdict is Verdict.FAILED:
            wrong.append(f"{outcome.check} failed: {outcome.evidence}")
        elif outcome.verdict is Verdict.BLOCKED and not lost & _all_before(rubric, outcome.check):
            wrong.append(f"{outcome.check} was blocked by no check that this answer loses")
    verdict = Verdict.FAILED if wrong else Verdict.INCONCLUSIVE if undecided else Verdict.PASSED
    return Validation(answer, report, verdict, (*wrong, *undecided), cached)


def _loses(outcome: Outcome, answer: Answer) -> bool:
    if outcome.verdict is Verdict.NOT_MEASURED:
        return True
    return outcome.points == 0 if answer.name == BLANK else outcome.points < outcome.maximum


def _all_before(rubric: Rubric, check: str) -> set[str]:
    return {spec.name for spec in rubric.with_dependencies([check])} - {check}


def _read(kept: Path) -> Report | None:
    try:
        return Report.model_validate_json(kept.read_bytes())
    except (OSError, ValueError):
        return None


def hash_tree(paths: Iterable[Path | None]) -> str:
    """The hash of files and folders, by name and content."""
    digest = hashlib.sha256()
    for path in paths:
        if path is None or not path.exists():
            continue
        files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
        for file in files:
            if "__pycache__" not in file.parts:
                digest.update(f"{file.relative_to(path.parent)}\0".encode())
                digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()
