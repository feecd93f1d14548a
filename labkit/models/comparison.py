"""A smaller model held against the one that it was made from: the accuracy it lost, how much faster it is.

Each is measured in pairs, on the same images or in the same moment, and comes with its bounds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, norm

from labkit.verdicts import Judgement, Verdict

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Bounds:
    """A measured value, and the lowest and highest that it may really be, each with `CONFIDENCE`."""

    measured: float
    low: float
    high: float


def points_lost(before: NDArray[np.bool_], after: NDArray[np.bool_]) -> Bounds:
    """By how many points of accuracy the second model is worse, from the same images.

    What both do equally well or badly tells nothing: only the images on which they differ do. The bounds are
    those of Agresti and Min for a difference of paired proportions (Statistics in Medicine 24, 2005).

    Args:
        before: Whether the first model was right, for each image.
        after: Whether the second one was.
    """
    lost, won, images = int((before & ~after).sum()), int((after & ~before).sum()), len(before)
    measured = (lost - won) / images
    more, less, all_ = lost + 0.5, won + 0.5, images + 2
    center = (more - less) / all_
    error = norm.ppf(CONFIDENCE) * np.sqrt(more + less - (more - less) ** 2 / all_) / all_
    return Bounds(100 * measured, 100 * float(center - error), 100 * float(center + error))


def speedup(seconds: NDArray[np.float64]) -> Bounds:
    """How many times as fast the second column is as the first, from rounds of both `(rounds, 2)`.

    The median of the rounds' ratios; its bounds are order statistics, which assume nothing of the noise.
    """
    ratios = np.sort(seconds[:, 0] / seconds[:, 1])
    outside = int(binom.ppf(1 - CONFIDENCE, len(ratios), 0.5))
    position = max(outside - 1, 0)
    return Bounds(float(np.median(ratios)), float(ratios[position]), float(ratios[-1 - position]))


def judge_loss(lost: Bounds, *, at_most: float) -> Judgement:
    """Passes when even the most that may be lost is little enough, fails when the measured loss is too much.

    There is no measuring again: the same images would say the same.

    Args:
        lost: From `points_lost`.
        at_most: Points of accuracy.
    """
    said = (
        f"{lost.measured:.1f} points lower"
        if lost.measured > 0
        else f"{-lost.measured:.1f} points higher"
        if lost.measured < 0
        else "as accurate as before"
    )
    summary = f"{said} ({CONFIDENCE:.0%}: {lost.low:.1f} to {lost.high:.1f} lower; at most {at_most:g} asked)"
    verdict = (
        Verdict.PASSED
        if lost.high <= at_most
        else Verdict.FAILED
        if lost.measured > at_most
        else Verdict.INCONCLUSIVE
    )
    return Judgement(verdict, summary, measured={"points_lost": lost.measured, "points_lost_high": lost.high})


def judge_speedup(faster: Bounds, *, at_least: float) -> Judgement:
    """Passes when even the least that the bounds allow is enough, fails when even the most is too little.

    Args:
        faster: From `speedup`.
        at_least: How many times as fast it should be.
    """
    summary = f"{faster.measured:.1f} times as fast ({CONFIDENCE:.0%}: {faster.low:.1f} to {faster.high:.1f})"
    verdict = (
        Verdict.PASSED
        if faster.low >= at_least
        else Verdict.FAILED
        if faster.high < at_least
        else Verdict.INCONCLUSIVE
    )
    return Judgement(verdict, summary, measured={"speedup": faster.measured, "speedup_low": faster.low})
