"""What an autoscaler made of a load: one time axis for load, replicas and latency."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from labkit.load.outcomes import Outcome
from labkit.load.plots import Plot
from labkit.load.recording import Recording
from labkit.verdicts import Tier

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Series = NDArray[np.float64]
_LOAD, _WANTED, _READY, _LATE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """A row a moment, `STEP` seconds or so apart; all arrays have the shape `(moments,)`.

    Attributes:
        seconds: When, from the start.
        offered: Requests a second that came.
        replicas: How many replicas were asked for.
        ready: How many were ready.
        latency: Seconds that a request that came then took; infinite if it was refused.
        requests: How many came since the moment before; the weight of `latency`.
        tier: What it was seen on.
    """

    seconds: Series
    offered: Series
    replicas: NDArray[np.int64]
    ready: NDArray[np.int64]
    latency: Series
    requests: Series
    tier: Tier

    def _between(self, since: float, until: float) -> NDArray[np.bool_]:
        return (self.seconds >= since) & (self.seconds < until)

    def late_share(self, limit: float, *, since: float = 0.0, until: float = np.inf) -> float:
        """The part of the requests of that time that took longer than `limit` seconds, or were refused."""
        chosen = self._between(since, until)
        total = self.requests[chosen].sum()
        return float(self.requests[chosen & (self.latency > limit)].sum() / total) if total else 0.0

    def reversals(self, *, since: float = 0.0, until: float = np.inf) -> int:
        """How often scaling turned round: out after in, or in after out. One peak of load is one."""
        steps = np.diff(self.replicas[self._between(since, until)])
        directions = np.sign(steps[steps != 0])
        return int(np.count_nonzero(np.diff(directions)))

    def replica_seconds(self, *, since: float = 0.0, until: float = np.inf) -> float:
        """What was paid for: replicas times the seconds that they were asked for."""
        chosen = np.flatnonzero(self._between(since, until))
        if not len(chosen):
            return 0.0
        lengths = np.diff(self.seconds[chosen], append=self.seconds[chosen[-1]])
        return float((self.replicas[chosen] * lengths).sum())

    def at(self, second: float) -> tuple[int, int]:
        """Replicas that were asked for, and that were ready, at that second."""
        index = max(0, int(np.searchsorted(self.seconds, second, side="right")) - 1)
        return int(self.replicas[index]), int(self.ready[index])

    def first(self, replicas: int, *, since: float = 0.0) -> float:
        """The first second from `since` on at which at least so many were ready; infinite if never."""
        found = np.flatnonzero((self.seconds >= since) & (self.ready >= replicas))
        return float(self.seconds[found[0]]) if len(found) else float("inf")

    def describe(self) -> str:
        """The plot in words."""
        finite = self.latency[np.isfinite(self.latency) & (self.requests > 0)]
        slowest = f"{finite.max():.2g} s" if len(finite) else "unknown"
        refused = float(self.requests[np.isinf(self.latency)].sum() / max(1.0, self.requests.sum()))
        return (
            f"{self.seconds[-1]:.0f} s, {self.offered.min():.0f} to {self.offered.max():.0f} requests/s; "
            f"{self.replicas.min()} to {self.replicas.max()} replicas, turned {self.reversals()} times, "
            f"{self.replica_seconds():.0f} replica-seconds; slowest answer {slowest}, {refused:.1%} refused "
            f"({self.tier.value})"
        )

    def plot(self, *, title: str = "", limit: float | None = None) -> Plot:
        """Load, replicas and latency below each other; a line at `limit` seconds."""
        from matplotlib.figure import Figure

        figure: Figure = Figure(figsize=(9.5, 6), layout="constrained")
        load, replicas, latency = figure.subplots(3, 1, sharex=True)
        load.plot(self.seconds, self.offered, color=_LOAD)
        load.set(ylabel="requests/s", title=title)
        replicas.step(self.seconds, self.replicas, where="post", color=_WANTED, label="asked for")
        replicas.step(
            self.seconds, self.ready, where="post", color=_READY, linestyle="--", linewidth=2, label="ready"
        )
        replicas.set(ylabel="replicas", ylim=(0, max(2, int(self.replicas.max()) + 1)))
        replicas.legend(loc="upper right", fontsize="small")
        answered = np.isfinite(self.latency) & (self.requests > 0)
        latency.plot(self.seconds[answered], self.latency[answered], ".", color=_LATE, markersize=3)
        refused = np.isinf(self.latency) & (self.requests > 0)
        top = float(self.latency[answered].max()) if answered.any() else 1.0
        latency.plot(
            self.seconds[refused],
            np.full(int(refused.sum()), top),
            "x",
            color="black",
            label="refused or lost",
        )
        if limit is not None:
            latency.axhline(limit, color="#E69F00", linestyle="--", label=f"limit {limit:g} s")
        latency.set(ylabel="latency (s)", xlabel="seconds", yscale="log")
        if refused.any() or limit is not None:
            latency.legend(loc="upper right", fontsize="small")
        for axes in (load, replicas, latency):
            axes.grid(alpha=0.3)
        return Plot(figure, self.describe())


def timeline_of(
    recordings: list[tuple[float, Recording]],
    changes: list[tuple[float, int, int]],
    tier: Tier,
    *,
    every: float = 0.5,
) -> Timeline:
    """What was measured, as a timeline: p99 of each interval as its latency.

    Args:
        recordings: (when it began, in seconds from the start; the load), in order.
        changes: (seconds from the start, replicas asked for, replicas ready), in order, the first at 0.
        tier: What it was measured on.
        every: Seconds of an interval.
    """
    due = np.concatenate([start + one.intended_ns / 1e9 for start, one in recordings])
    took = np.concatenate([(one.done_ns - one.intended_ns) / 1e9 for _, one in recordings])
    missed = np.concatenate([one.outcome != Outcome.OK for _, one in recordings])
    took = np.where(missed, np.inf, took)
    seconds = np.arange(0.0, float(due.max()) + every, every)
    bins = np.clip(np.digitize(due, seconds) - 1, 0, len(seconds) - 1)
    requests = np.bincount(bins, minlength=len(seconds)).astype(np.float64)
    latency = np.array(
        [
            float(np.quantile(took[bins == i], 0.99, method="higher")) if requests[i] else np.nan
            for i in range(len(seconds))
        ]
    )
    when = np.array([at for at, _, _ in changes])
    index = np.clip(np.searchsorted(when, seconds, side="right") - 1, 0, len(when) - 1)
    return Timeline(
        seconds=seconds,
        offered=requests / every,
        replicas=np.array([wanted for _, wanted, _ in changes], dtype=np.int64)[index],
        ready=np.array([ready for _, _, ready in changes], dtype=np.int64)[index],
        latency=latency,
        requests=requests,
        tier=tier,
    )
