"""Bounds on the share of misses in a load whose requests are not independent.

Requests in one queue share their fate: one stall makes all its neighbours late. Exact binomial bounds
(Clopper and Pearson 1934) on the plain counts would then be far too narrow. Here they are taken, as for
survey data, at the effective sample size: the requests divided by the design effect, which is how much more
the misses per window scatter than those of independent requests would (Korn and Graubard 1998, "Confidence
intervals for proportions with small expected number of positive counts estimated from survey data", Survey
Methodology 24, with their correction by Student's t for the number of windows).

Few misses say little about how they cluster. Towards a pass, therefore, as if one further cluster had been
seen, a design effect is mixed in that a cause recurring `RECURRENCES` times a run at the allowed share of
misses would have; and where near misses are known, theirs counts if it is larger: a queue that is often half
full shows how its rare long waits will cluster.

No measurement can rule out a cause that does not show up while it lasts: the bounds hold for those that recur
at least some twenty times in it (`rarest_cause_seconds`). The simulations in tests/labkit/slo/test_bounds.py
and `python -m benchmarks bounds` show how well.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

# Misses are counted in so many windows a run, to see causes that last shorter or longer; the scale on which
# they scatter most counts.
WINDOWS = (20, 40, 80, 160)
RECURRENCES = 12
FEWEST_REQUESTS = 60


class ShareBounds(NamedTuple):
    """Two one-sided bounds on a share of misses, each at the asked confidence.

    Attributes:
        lower: The share is at least this.
        upper: The share is at most this.
        effective_lower: Independent requests that the sample was worth for the lower bound.
        effective_upper: Likewise for the upper.
    """

    lower: float
    upper: float
    effective_lower: float
    effective_upper: float


def share_bounds(
    runs: Sequence[NDArray[np.bool_]],
    *,
    allowed: float,
    confidence: float,
    near: Sequence[NDArray[np.bool_]] = (),
) -> ShareBounds:
    """Bound the share of misses that a service has in the long run.

    Args:
        runs: For each run, whether each request was a miss, in the order in which they were due.
        allowed: The share that is to be judged; 0.01 for a p99.
        confidence: Of each bound on its own, such as 0.99.
        near: For each run, whether each request was a miss or nearly one.
    """
    total = sum(len(run) for run in runs)
    misses = int(sum(np.count_nonzero(run) for run in runs))
    if not total:
        return ShareBounds(0.0, 1.0, 0.0, 0.0)
    seen = design_effect(runs, confidence)
    assumed = max(
        seen,
        design_effect(near, confidence) if near else 1.0,
        _with_one_more_cluster(seen, misses, total * allowed),
    )
    return ShareBounds(
        lower=lowest_share(misses / seen, total / seen, confidence),
        upper=highest_share(misses / assumed, total / assumed, confidence),
        effective_lower=total / seen,
        effective_upper=total / assumed,
    )


def design_effect(runs: Sequence[NDArray[np.bool_]], confidence: float) -> float:
    """How many times more the misses scatter from window to window than independent ones; at least 1."""
    total = sum(len(run) for run in runs)
    share = float(np.clip(sum(np.count_nonzero(run) for run in runs) / total, 1 / total, 1 - 1 / total))
    largest = 1.0
    for windows in WINDOWS:
        size = total // windows
        if size < 2:
            break
        counts = np.concatenate([_per_window(run, size) for run in runs])
        if len(counts) < min(WINDOWS) // 2:
            continue
        ratio = counts.var(ddof=1) / (size * share * (1 - share))
        largest = max(largest, float(ratio) * _for_few_windows(len(counts), confidence))
    return largest


@cache
def _for_few_windows(windows: int, confidence: float) -> float:
    """Korn and Graubard's correction: a scatter estimated from few windows is itself uncertain."""
    return float((special.stdtrit(windows - 1, confidence) / special.ndtri(confidence)) ** 2)


def _per_window(run: NDArray[np.bool_], size: int) -> NDArray[np.int64]:
    windows = len(run) // size
    counts: NDArray[np.int64] = run[: windows * size].reshape(windows, size).sum(axis=1, dtype=np.int64)
    return counts


def _with_one_more_cluster(seen: float, misses: int, allowed_misses: float) -> float:
    """The design effect after one cluster more, of the size that the allowance has room for.

    A cluster of mean size s and geometric spread scatters 2s - 1 times as much as single misses.
    """
    size = max(1.0, allowed_misses / RECURRENCES)
    return (size * (2 * size - 1) + misses * seen) / (size + misses)


def highest_share(misses: float, requests: float, confidence: float) -> float:
    """The upper bound of Clopper and Pearson, for counts that need not be whole."""
    if misses >= requests:
        return 1.0
    return float(special.betaincinv(misses + 1, requests - misses, confidence))


def lowest_share(misses: float, requests: float, confidence: float) -> float:
    """The lower bound of Clopper and Pearson, for counts that need not be whole."""
    if misses <= 0:
        return 0.0
    return float(special.betaincinv(misses, requests - misses + 1, 1 - confidence))


def quantile_levels(bounds: ShareBounds, *, allowed: float, confidence: float) -> tuple[float, float]:
    """Between which levels of the sample the true quantile lies: the bounds above, turned round.

    Returns:
        The lower and the upper level, 0 to 1; an upper level above 1 says that the sample is too small for
        an upper bound.
    """
    return (
        1 - _turned(bounds.effective_lower, allowed, 1 - confidence),
        1 - _turned(bounds.effective_upper, allowed, confidence),
    )


def _turned(requests: float, allowed: float, probability: float) -> float:
    """The share of misses in a sample of this size whose bound is just the allowed share, by bisection."""
    upper = probability > 0.5
    bound = highest_share if upper else lowest_share
    confidence = probability if upper else 1 - probability
    if requests <= 0 or (upper and bound(0.0, requests, confidence) > allowed):
        return -1.0 if upper else 1.0
    low, high = 0.0, requests
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if bound(middle, requests, confidence) <= allowed else (low, middle)
    return low / requests


def rarest_cause_seconds(seconds: float) -> float:
    """How often a cause of misses must recur for a run of this length to be held against it fairly."""
    return seconds / 20
