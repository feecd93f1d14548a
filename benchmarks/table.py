"""One table for all figures: the median of the repetitions and how far they spread."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One figure.

    Attributes:
        name: What was measured.
        values: One a repetition.
        unit: Of the values.
        target: What was to be reached, in words.
    """

    name: str
    values: Sequence[float]
    unit: str = ""
    target: str = ""

    def __str__(self) -> str:
        """The row in Markdown."""
        middle, low, high = statistics.median(self.values), min(self.values), max(self.values)
        spread = f"{low:.3g} to {high:.3g}" if len(self.values) > 1 else ""
        return f"| {self.name} | {middle:.3g} {self.unit} | {spread} | {len(self.values)} | {self.target} |"


HEAD = "| figure | median | spread | runs | to reach |\n| --- | --- | --- | --- | --- |"
