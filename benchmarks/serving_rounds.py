"""The rounds that `benchmarks.serving` has measured: read, counted, and put in relation."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Rounds = dict[str, list[dict[str, Any]]]
"""What was measured, by the row's name, round after round."""

FEWEST_ROUNDS = 3
"""With fewer, nothing is said of a difference."""
LADDER = (100, 200, 300, 400, 600, 800, 1100, 1500, 2000, 2700, 3600)
"""Single requests a second; the highest of them within the objective is reported."""
SLOW_LADDER = (20, 30, 40, 60, 80, 110, 150, 200, 300, 400, 600)
"""The same for a model of ten milliseconds."""


@dataclass(frozen=True)
class Load:
    """What is asked, and how fast.

    Attributes:
        name: As the results call it.
        rows: Rows of one request beside the single ones.
        per_second: How often it comes.
        ladder: Single requests a second; p50 and p99 are those of the first step.
    """

    name: str
    rows: int
    per_second: float
    ladder: tuple[int, ...] = LADDER


MIXED = Load("mixed", 32, 2.0)
BULK = Load("bulk", 1000, 0.5)
"""That of labs 11-01 and 11-02."""
SENTENCES = Load("sentences", 4, 0.5, SLOW_LADDER)
"""For the sentence embedder MiniLM."""
LOADS = {load.name: load for load in (MIXED, BULK, SENTENCES)}


def read(results: Path, load: Load = MIXED) -> Rounds:
    """The rounds under that load."""
    rows: Rounds = {}
    if results.is_file():
        for line in results.read_text().splitlines():
            found = json.loads(line)
            if found.get("load", MIXED.name) == load.name:
                rows.setdefault(found["name"], []).append(found)
    return rows


def counts(results: Path, load: Load = MIXED) -> Counter[str]:
    """How often each row was measured."""
    return Counter({name: len(found) for name, found in read(results, load).items()})


def whole(rows: Rounds) -> Rounds:
    """The rounds that gave figures, of the rows that have any."""
    done = {name: [each for each in found if "why_not" not in each] for name, found in rows.items()}
    return {name: found for name, found in done.items() if found}


def middle(found: list[dict[str, Any]], key: str) -> float:
    """The median of a figure over the rounds; not a number where none has it."""
    values = [each[key] for each in found if each.get(key) is not None]
    return statistics.median(values) if values else float("nan")


def spread(found: list[dict[str, Any]], key: str, unit: float, form: str) -> str:
    """The median of a figure, with the lowest and the highest round in brackets."""
    values = [each[key] / unit for each in found if each.get(key) is not None]
    if not values:
        return "no answer in time"
    text = format(statistics.median(values), form)
    return f"{text} [{min(values):{form}}, {max(values):{form}}]" if len(values) > 1 else text


@dataclass(frozen=True)
class Ratio:
    """By how much one row's highest rate exceeds another's, round by round.

    Attributes:
        values: A ratio for each round that has both.
        at_least: Whether the other kept the objective at no step in some round, so that the ratio is larger.
    """

    values: list[float]
    at_least: bool

    def __str__(self) -> str:
        """The median with the lowest and the highest."""
        low, middle, high = min(self.values), statistics.median(self.values), max(self.values)
        return f"{'more than ' * self.at_least}{middle:.2f} [{low:.2f}, {high:.2f}]"

    @property
    def says(self) -> str:
        """What the bracket shows."""
        if len(self.values) < FEWEST_ROUNDS:
            return "too few rounds to say"
        if min(self.values) > 1:
            return "above"
        return "below" if max(self.values) < 1 and not self.at_least else "no difference shown"


def ratio(rows: Rounds, one: str, other: str) -> Ratio | None:
    """The ratio within each round that has both rows; None if there is no such round.

    A row that kept the objective at no step counts as one just below the lowest.
    """
    pairs = zip(rows.get(one, []), rows.get(other, []), strict=False)
    rates = [(a["highest_rate"], b["highest_rate"]) for a, b in pairs if not {"why_not"} & {*a, *b}]
    if not rates:
        return None
    return Ratio([a / (b or LADDER[0]) for a, b in rates], at_least=any(not b for _, b in rates))
