"""What one inference costs over a day that is mostly idle, the failed ones paid for too.

At a steady full load even a dear machine costs next to nothing an inference; a service is paid for while it
waits. The day here has a few bursts between long quiet hours: replicas follow the rate, as an autoscaler
with a stabilisation window would have them, nodes follow replicas, and every node is paid for as long as
it is there.
"""

from __future__ import annotations

import datetime
import math
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labkit.errors import WorkbookError
from labkit.load.outcomes import Outcome
from labkit.load.recording import Recording
from labkit.slo.bounds import share_bounds
from labkit.verdicts import Judgement, Tier, Verdict

MINUTES = 24 * 60


@dataclass(frozen=True)
class Price:
    """What one machine costs.

    Attributes:
        instance: Its name.
        usd_per_hour: On demand.
        date: Of the table.
        source: Of the table, an address.
    """

    instance: str
    usd_per_hour: float
    date: datetime.date
    source: str


@cache
def price_tables() -> dict[str, Any]:
    """The price tables of prices.toml, by name."""
    return tomllib.loads((resources.files("labkit.slo") / "prices.toml").read_text(encoding="utf-8"))


def price_of(instance: str, table: str = "aws-us-east-1") -> Price:
    """The price of a machine in a dated table.

    Raises:
        WorkbookError: If the table or the machine is not known.
    """
    tables = price_tables()
    if table not in tables:
        raise WorkbookError(
            f"There is no price table {table!r}.", next_step=f"Choose one of {', '.join(tables)}."
        )
    prices = tables[table]["instances"]
    if instance not in prices:
        raise WorkbookError(
            f"The price table {table} of {tables[table]['date']} has no {instance!r}.",
            next_step=f"Choose one of {', '.join(prices)}, or give the price (--usd-per-hour).",
        )
    return Price(instance, float(prices[instance]), tables[table]["date"], tables[table]["source"])


@dataclass(frozen=True, kw_only=True)
class Day:
    """A bursty day, minute by minute.

    Attributes:
        peak_rate: Requests per second in a burst.
        idle_rate: Requests per second between bursts.
        bursts: How many bursts, evenly over the day.
        burst_minutes: How long each lasts, a quarter of it rising and a quarter falling.
    """

    peak_rate: float
    idle_rate: float
    bursts: int = 4
    burst_minutes: int = 30

    def __post_init__(self) -> None:
        """Refuse what makes no day."""
        if not 0 <= self.idle_rate <= self.peak_rate or self.peak_rate <= 0:
            raise WorkbookError(
                f"A day between {self.idle_rate:g} and {self.peak_rate:g} requests/s can't be.",
                next_step="Give an idle rate of zero or more, and a peak rate above it.",
            )
        if self.bursts * self.burst_minutes > MINUTES or self.bursts < 1 or self.burst_minutes < 1:
            raise WorkbookError(
                f"{self.bursts} bursts of {self.burst_minutes} minutes don't fit in a day.",
                next_step="Give fewer or shorter ones.",
            )

    @classmethod
    def mostly_idle(cls, peak_rate: float) -> Day:
        """Four bursts of half an hour; in the other 22 hours, a hundredth of the peak."""
        return cls(peak_rate=peak_rate, idle_rate=peak_rate / 100)

    def rates(self) -> NDArray[np.float64]:
        """Requests per second in each minute; shape `(1440,)`."""
        rates = np.full(MINUTES, self.idle_rate)
        steps = (np.arange(self.burst_minutes) + 0.5) / self.burst_minutes
        shape = np.clip(4 * np.minimum(steps, 1 - steps), 0, 1)
        burst = self.idle_rate + (self.peak_rate - self.idle_rate) * shape
        for number in range(self.bursts):
            start = int((number + 0.5) * MINUTES / self.bursts - self.burst_minutes / 2)
            rates[start : start + self.burst_minutes] = burst
        return rates


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """How a service is deployed and scaled.

    Attributes:
        replica_rate: Requests per second that one replica serves within its objective, as measured.
        replicas_per_node: How many replicas share a machine.
        least_replicas: How many run at night.
        target_utilisation: The part of `replica_rate` at which another replica is started.
        hold_minutes: For how long replicas stay after they were last needed.
    """

    replica_rate: float
    replicas_per_node: int = 1
    least_replicas: int = 1
    target_utilisation: float = 0.7
    hold_minutes: int = 5

    def __post_init__(self) -> None:
        """Refuse what can't be deployed."""
        if self.replica_rate <= 0 or not 0 < self.target_utilisation <= 1:
            raise WorkbookError(
                "A replica serves more than no requests, at a utilisation above 0 and up to 1.",
                next_step="Give the rate at which one replica keeps its objective.",
            )
        if self.replicas_per_node < 1 or self.least_replicas < 1 or self.hold_minutes < 0:
            raise WorkbookError(
                "A fleet has at least one replica, and at least one on each node.",
                next_step="Give whole numbers from one up.",
            )

    def replicas(self, rates: NDArray[np.float64]) -> NDArray[np.int64]:
        """Replicas in each minute of these rates."""
        needed = np.ceil(rates / (self.replica_rate * self.target_utilisation)).astype(np.int64)
        needed = np.maximum(needed, self.least_replicas)
        held = needed.copy()
        for minutes in range(1, self.hold_minutes + 1):
            held[minutes:] = np.maximum(held[minutes:], needed[:-minutes])
        return held


@dataclass(frozen=True)
class Cost:
    """What a day costs.

    Attributes:
        usd: The whole day.
        requests: Requests of the day, failed ones too.
        replica_hours: Summed over the day.
        node_hours: Those that are paid for.
        price: What a node-hour costs, with date and source.
    """

    usd: float
    requests: float
    replica_hours: float
    node_hours: float
    price: Price

    def per_inference(self, failed_share: float = 0.0) -> float:
        """US dollars for each answered request; infinite if none is."""
        answered = self.requests * (1 - failed_share)
        return self.usd / answered if answered > 0 else math.inf


def cost_of(day: Day, fleet: Fleet, price: Price) -> Cost:
    """Price a day: node-hours times the price of one."""
    rates = day.rates()
    replicas = fleet.replicas(rates)
    nodes = -(-replicas // fleet.replicas_per_node)
    node_hours = float(nodes.sum()) / 60
    return Cost(
        usd=node_hours * price.usd_per_hour,
        requests=float(rates.sum() * 60),
        replica_hours=float(replicas.sum()) / 60,
        node_hours=node_hours,
        price=price,
    )


def judge_cost(
    cost: Cost,
    recordings: Recording | Sequence[Recording],
    *,
    at_most_usd: float = 0.001,
    confidence: float = 0.99,
) -> Judgement:
    """Hold the cost of an answered inference against a limit, bounded by the share that may fail.

    Args:
        cost: The priced day.
        recordings: A load at the rate that one replica is said to serve: its misses are paid for, too.
        at_most_usd: The limit, in US dollars for one inference.
        confidence: Of the bound on the misses.

    Returns:
        A judgement of tier `simulated`: the failures were measured, the day and its price are a model.
    """
    runs = [recordings] if isinstance(recordings, Recording) else list(recordings)
    missed = [run.measured().outcome != Outcome.OK for run in runs]
    bounds = share_bounds(missed, allowed=0.01, confidence=confidence)
    total = sum(len(each) for each in missed)
    share = sum(int(each.sum()) for each in missed) / total if total else 0.0
    usd, low, high = (cost.per_inference(each) for each in (share, bounds.lower, bounds.upper))
    if high < at_most_usd:
        verdict, bound = Verdict.PASSED, f"at most {_usd(high)}"
    elif low >= at_most_usd:
        verdict, bound = Verdict.FAILED, f"at least {_usd(low)}"
    else:
        verdict, bound = Verdict.INCONCLUSIVE, f"between {_usd(low)} and {_usd(high)}"
    summary = (
        f"{_usd(usd)} an inference, {bound} ({100 * confidence:.4g} %); {_usd(usd * 1e6)} a million; "
        f"{cost.node_hours:.1f} node-hours of {cost.price.instance} for {cost.requests:,.0f} requests"
    )
    return Judgement(
        verdict,
        summary,
        Tier.SIMULATED,
        {
            "usd_per_inference": _plain(usd),
            "usd_per_inference_at_least": _plain(low),
            "usd_per_inference_at_most": _plain(high),
            "usd_per_million": _plain(usd * 1e6),
            "usd_per_day": cost.usd,
            "limit_usd": at_most_usd,
            "requests_per_day": cost.requests,
            "replica_hours": cost.replica_hours,
            "node_hours": cost.node_hours,
            "instance": cost.price.instance,
            "usd_per_hour": cost.price.usd_per_hour,
            "price_date": cost.price.date.isoformat(),
            "price_source": cost.price.source,
            "failed_share": share,
            "failed_share_at_most": bounds.upper,
            "measured_requests": total,
            "confidence": confidence,
        },
    )


def _usd(value: float) -> str:
    if not math.isfinite(value):
        return "any sum of USD"
    return f"{value:,.2f} USD" if value >= 1 else f"{value:.3g} USD"


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None
