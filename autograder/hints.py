"""One hint at a time, from a nudge to nearly the answer: for the terminal and for the notebook."""

from __future__ import annotations

from dataclasses import dataclass

from autograder.loading import Rubric
from autograder.workplace import Results
from labkit.verdicts import Verdict

NOTHING_OPEN = "Nothing is open that has a hint: every check that was run has passed."


@dataclass(frozen=True)
class Hints:
    """What was shown of one check's hints.

    Attributes:
        title: The check's, as the learner reads it.
        shown: The hints so far, the newest last.
        left: How many more there are.
    """

    title: str
    shown: list[str]
    left: int

    @property
    def remainder(self) -> str:
        """What is left, in a sentence."""
        return f"{self.left} more for this check. Hints cost nothing; how many you took is counted."


def take_hint(rubric: Rubric, results: Results, part: str | None = None) -> Hints | None:
    """Show one hint more, and count it.

    Args:
        rubric: Whose checks.
        results: The learner's results and what was shown before.
        part: A check's name; by default the first that has failed, else the first that was not run.

    Returns:
        The hints of that check so far; None if nothing is open that has any.

    Raises:
        WorkbookError: There is no check of that name.
    """
    report = results.report(rubric.lab)
    found = {spec.name: report.outcome(spec.name) if report else None for spec in rubric.checks}
    specs = [rubric.check(part)] if part else sorted(rubric.checks, key=lambda spec: found[spec.name] is None)
    for spec in specs:
        outcome = found[spec.name]
        if not spec.hints or (outcome is not None and outcome.verdict is not Verdict.FAILED):
            continue
        before = results.hints_seen(rubric.lab).get(spec.name, 0)
        if before < len(spec.hints):
            results.count_hint(rubric.lab, spec.name)
        shown = list(spec.hints[: before + 1])
        return Hints(spec.title, shown, len(spec.hints) - len(shown))
    return None
