"""The course's four metrics: which checks measure them, and what was found of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from autograder.results import Report
from labkit.verdicts import Verdict


@dataclass(frozen=True)
class Metric:
    """One of the four.

    Attributes:
        name: As people call it.
        objective: What is promised.
        check: The name of the checks that measure it.
    """

    name: str
    objective: str
    check: str


METRICS = (
    Metric("Model serving latency", "p99 under 100 ms", "latency"),
    Metric("Availability", "99.9 %", "availability"),
    Metric("Cost per inference", "under 0.001 USD", "cost"),
    Metric("GPU utilisation", "above 80 %", "gpu"),
)


@dataclass(frozen=True)
class Finding:
    """What is known of a metric.

    Attributes:
        metric: Which.
        verdict: The verdict and the tier, in words.
        evidence: The number with its bound, and the lab that measured it.
    """

    metric: Metric
    verdict: str
    evidence: str


def find_metrics(reports: Iterable[Report], unknown: str) -> list[Finding]:
    """What the reports say of each metric: of several labs, the first whose check came to a verdict.

    Args:
        reports: Of labs, in the course's order.
        unknown: What to say of a metric that none of them measured.
    """
    known = list(reports)
    findings = []
    for metric in METRICS:
        found = [(report.lab, o) for report in known for o in report.outcomes if o.check == metric.check]
        decided = [each for each in found if each[1].verdict in (Verdict.PASSED, Verdict.FAILED)]
        if best := decided or found:
            lab, outcome = best[0]
            verdict = f"{outcome.verdict.words} ({outcome.tier.value})"
            findings.append(
                Finding(metric, verdict, f"{outcome.evidence} · {lab}" if outcome.evidence else lab)
            )
        else:
            findings.append(Finding(metric, Verdict.NOT_MEASURED.words, unknown))
    return findings
