"""Makes the mutants of a lab's reference, runs them through its rubric, and counts those that lose points.

A mutant that cannot be told from the reference by anything that the lab asks for is equivalent. The few that
are so are listed by hand, with the reason, in `answers/<lab>/equivalent.toml`::

    [[mutant]]
    file = "serve.py"
    operator = "python: text"
    line = 'app = FastAPI(title="Digits")'
    reason = "Nobody asks for the title."

One that gives the same program, or the same data, is never made.
"""

from __future__ import annotations

import difflib
import hashlib
import random
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from autograder.answers import REFERENCE, Answer, answers_of
from autograder.checking import run_checks
from autograder.loading import Rubric, load_rubric
from autograder.mutation.operators import operators_for
from autograder.mutation.yaml_values import normal_form
from autograder.results import Report
from autograder.validate import fingerprint
from labkit.course import Lab
from labkit.errors import WorkbookError
from labkit.verdicts import Verdict

EQUIVALENT = "equivalent.toml"


@dataclass(frozen=True)
class Mutant:
    """A reference answer with one fault.

    Attributes:
        lab: The lab's id.
        file: Which file, below the lab's folder.
        operator: Which kind of fault.
        line: Where, counted from 1.
        original: That line as it is in the reference, without the blanks around it.
        text: The whole file with the fault.
        diff: What differs.
        reason: Why it is equivalent to the reference; empty if it is not.
    """

    lab: str
    file: str
    operator: str
    line: int
    original: str
    text: str
    diff: str
    reason: str = ""


class Fate(StrEnum):
    """What became of a mutant."""

    KILLED = "killed"
    SURVIVED = "survived"
    UNDECIDED = "undecided"
    BROKE = "broke"


@dataclass(frozen=True)
class MutantResult:
    """What a rubric made of a mutant.

    Attributes:
        mutant: The mutant.
        fate: `killed` if it lost points, `broke` if a check of ours did not end properly.
        checks: The checks that took points, or broke.
        seconds: How long the checks took.
    """

    mutant: Mutant
    fate: Fate
    checks: tuple[str, ...]
    seconds: float


@dataclass(frozen=True)
class Tally:
    """The mutants of a lab.

    Attributes:
        lab: The lab's id.
        made: How many there are.
        equivalent: How many of them are listed as such.
        run: How many of the others were run.
        results: What became of those.
    """

    lab: str
    made: int
    equivalent: int
    run: int
    results: tuple[MutantResult, ...]

    def count(self, fate: Fate) -> int:
        """How many had that fate."""
        return sum(result.fate is fate for result in self.results)

    @property
    def share(self) -> float | None:
        """The share of those run that lost points; None if none was."""
        return self.count(Fate.KILLED) / self.run if self.run else None


def mutants_of(lab: Lab) -> list[Mutant]:
    """All mutants of a lab's reference, file by file and line by line.

    Raises:
        WorkbookError: A file of the reference can't be read, or `equivalent.toml` lists what is not there.
    """
    rubric = load_rubric(lab)
    reference = _reference(rubric)
    assert reference.folder is not None
    found: list[Mutant] = []
    for path in sorted(p for p in reference.folder.rglob("*") if p.is_file() and p.name != "answer.toml"):
        operators = operators_for(path.name)
        if operators is None or "__pycache__" in path.parts:
            continue
        text = path.read_text(encoding="utf-8")
        normal = normal_form(text) if path.suffix in (".yaml", ".yml") else text
        name = str(path.relative_to(reference.folder))
        seen = {text, normal}
        try:
            for mutation in operators(text):
                if mutation.text in seen:
                    continue
                seen.add(mutation.text)
                original = (text.splitlines() or [""])[mutation.line - 1].strip()
                diff = "\n".join(
                    difflib.unified_diff(
                        normal.splitlines(), mutation.text.splitlines(), name, name, lineterm="", n=0
                    )
                )
                found.append(
                    Mutant(lab.id, name, mutation.operator, mutation.line, original, mutation.text, diff)
                )
        except ValueError as error:
            raise WorkbookError(
                f"The reference's {name} of {lab.id} can't be read.", why=f"{error}."
            ) from error
    return _with_reasons(rubric, found)


def _reference(rubric: Rubric) -> Answer:
    return next(answer for answer in answers_of(rubric) if answer.name == REFERENCE)


def _with_reasons(rubric: Rubric, mutants: list[Mutant]) -> list[Mutant]:
    path = rubric.answers / EQUIVALENT
    if not path.is_file():
        return mutants
    listed = tomllib.loads(path.read_text(encoding="utf-8")).get("mutant", [])
    unused = list(range(len(listed)))
    marked = []
    for mutant in mutants:
        for place, entry in enumerate(listed):
            wanted = (entry["file"], entry["operator"], entry["line"].strip())
            if wanted == (mutant.file, mutant.operator, mutant.original):
                mutant = replace(mutant, reason=entry["reason"])
                if place in unused:
                    unused.remove(place)
        marked.append(mutant)
    if unused:
        line = listed[unused[0]]["line"]
        raise WorkbookError(
            f"{EQUIVALENT} of {rubric.lab.id} lists a mutant that is not made: {line!r}.",
            next_step="Take it out, or correct its file, operator and line.",
        )
    return marked


def run_mutants(
    lab: Lab, mutants: Sequence[Mutant], cache: Path, *, sample: int = 0, seed: int = 1
) -> Iterator[MutantResult]:
    """Run mutants that are not equivalent through the rubric.

    Args:
        lab: Whose.
        mutants: From `mutants_of`.
        cache: The folder of kept outcomes.
        sample: How many to choose at random; all if 0.
        seed: Of that choice.
    """
    rubric = load_rubric(lab)
    able = [mutant for mutant in mutants if not mutant.reason]
    if sample and sample < len(able):
        chosen = random.Random(seed).sample(range(len(able)), sample)  # noqa: S311 - a repeatable choice
        able = [able[place] for place in sorted(chosen)]
    code = fingerprint(rubric)
    for mutant in able:
        key = hashlib.sha256(f"{code} {mutant.file}\0{mutant.text}".encode()).hexdigest()
        kept = cache / f"mutant-{key}.json"
        try:
            report = Report.model_validate_json(kept.read_bytes())
        except (OSError, ValueError):
            report = _judge(rubric, mutant)
            if report.verdict is not Verdict.ERROR:
                cache.mkdir(parents=True, exist_ok=True)
                kept.write_text(report.model_dump_json())
        yield _result(mutant, report)


def _judge(rubric: Rubric, mutant: Mutant) -> Report:
    """Run the checks that read files, those that start something, the timed ones: until points are lost."""
    goes = [
        [spec.name for spec in rubric.checks if not spec.live],
        [spec.name for spec in rubric.checks if spec.live and not spec.timed],
        [spec.name for spec in rubric.checks if spec.timed],
    ]
    report: Report | None = None
    with tempfile.TemporaryDirectory(prefix="workbook-mutant-") as scratch:
        work = _reference(rubric).lay(Path(scratch) / rubric.lab.assignment)
        (work / rubric.lab.name / mutant.file).write_text(mutant.text, encoding="utf-8")
        for parts in filter(None, goes):
            found = run_checks(rubric.lab, work, parts=parts, grading=True)
            report = report.updated_by(found) if report else found
            if report.verdict is not Verdict.PASSED:
                break
    assert report is not None
    return report


def _result(mutant: Mutant, report: Report) -> MutantResult:
    lost = [o.check for o in report.outcomes if o.verdict in (Verdict.FAILED, Verdict.BLOCKED)]
    broke = [o.check for o in report.outcomes if o.verdict is Verdict.ERROR]
    undecided = [o.check for o in report.outcomes if o.verdict is Verdict.INCONCLUSIVE]
    if broke:
        return MutantResult(mutant, Fate.BROKE, tuple(broke), report.seconds)
    if lost:
        return MutantResult(mutant, Fate.KILLED, tuple(lost), report.seconds)
    fate = Fate.UNDECIDED if undecided else Fate.SURVIVED
    return MutantResult(mutant, fate, tuple(undecided), report.seconds)


def tally(lab: Lab, mutants: Sequence[Mutant], results: Sequence[MutantResult]) -> Tally:
    """Count what became of a lab's mutants."""
    equivalent = sum(bool(mutant.reason) for mutant in mutants)
    return Tally(lab.id, len(mutants), equivalent, len(results), tuple(results))
