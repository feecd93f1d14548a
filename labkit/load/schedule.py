"""When each request is due: open-loop arrival schedules that the same seed always repeats."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from labkit.errors import WorkbookError

NANOSECONDS = 1_000_000_000
MOST_REQUESTS = 20_000_000


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """An open-loop schedule: requests are due when it says, however slowly the server answers.

    Make one with `Schedule.poisson`, `Schedule.constant` or `Schedule.ramp`.

    Attributes:
        shape: How the arrivals are spaced.
        rate: Requests per second; of a ramp, those at its start.
        end_rate: Requests per second at the end; the same as `rate` unless it is a ramp.
        seconds: Length of the part that is measured.
        warmup: Seconds of the same load before it, sent but never judged.
        seed: Seed of the arrival times and of the mix of request kinds.

    Raises:
        WorkbookError: If a rate or a length makes no sense, or if it comes to over 20 million requests.
    """

    shape: Literal["poisson", "constant", "ramp"]
    rate: float
    end_rate: float
    seconds: float
    warmup: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        if not (self.rate > 0 and self.end_rate > 0 and self.seconds > 0 and self.warmup >= 0):
            raise WorkbookError(
                f"A load of {self.rate:g} requests/s for {self.seconds:g} s "
                f"after {self.warmup:g} s of warm-up can't be made.",
                next_step="Give a rate and a length above zero, and a warm-up of zero or more.",
            )
        if self.expected_requests > MOST_REQUESTS:
            raise WorkbookError(
                f"{self.expected_requests:,.0f} requests are more than one run keeps in memory "
                f"({MOST_REQUESTS:,}).",
                next_step="Lower the rate or the length.",
            )

    @classmethod
    def poisson(cls, rate: float, *, seconds: float, warmup: float = 1.0, seed: int = 0) -> Schedule:
        """Independent arrivals, as from many people at once (MLPerf's Server scenario).

        Args:
            rate: Mean requests per second.
            seconds: Length of the measured part.
            warmup: Seconds before it that are sent and not judged.
            seed: Seed of the arrivals.
        """
        return cls(shape="poisson", rate=rate, end_rate=rate, seconds=seconds, warmup=warmup, seed=seed)

    @classmethod
    def constant(cls, rate: float, *, seconds: float, warmup: float = 1.0, seed: int = 0) -> Schedule:
        """Evenly spaced arrivals. The arguments are those of `Schedule.poisson`."""
        return cls(shape="constant", rate=rate, end_rate=rate, seconds=seconds, warmup=warmup, seed=seed)

    @classmethod
    def ramp(
        cls, rate: float, end_rate: float, *, seconds: float, warmup: float = 0.0, seed: int = 0
    ) -> Schedule:
        """Poisson arrivals whose rate goes in a straight line from `rate` to `end_rate`.

        The warm-up, if there is one, stays at `rate`.
        """
        return cls(shape="ramp", rate=rate, end_rate=end_rate, seconds=seconds, warmup=warmup, seed=seed)

    @property
    def total_seconds(self) -> float:
        """Warm-up and measured part together."""
        return self.warmup + self.seconds

    @property
    def expected_requests(self) -> float:
        """Mean number of requests, those of the warm-up included."""
        return self.rate * self.warmup + (self.rate + self.end_rate) / 2 * self.seconds

    def arrivals(self) -> NDArray[np.int64]:
        """When each request is due, in nanoseconds from the start, in order; shape `(requests,)`."""
        if self.shape == "constant":
            seconds = np.arange(1, int(self.expected_requests) + 1) / self.rate
        else:
            seconds = self._when_expected(self._unit_arrivals())
        return (seconds[seconds <= self.total_seconds] * NANOSECONDS).astype(np.int64)

    def _unit_arrivals(self) -> NDArray[np.float64]:
        """A Poisson process of rate one, as long as the expected number of requests."""
        expected = self.expected_requests
        generator = np.random.default_rng(self.seed)
        gaps = generator.exponential(size=int(expected + 8 * np.sqrt(expected) + 16))
        arrivals = np.cumsum(gaps)
        return arrivals[arrivals <= expected]

    def _when_expected(self, count: NDArray[np.float64]) -> NDArray[np.float64]:
        """The second by which so many requests are expected: the inverse of the cumulative rate."""
        warm = self.rate * self.warmup
        slope = (self.end_rate - self.rate) / self.seconds
        after = np.maximum(count - warm, 0.0)
        # The root of slope/2 t^2 + rate t - after = 0, in the form that also holds for a slope of zero.
        into = 2 * after / (self.rate + np.sqrt(self.rate**2 + 2 * slope * after))
        return np.where(count <= warm, count / self.rate, self.warmup + into)

    def plain(self) -> dict[str, Any]:
        """The schedule as JSON values; `Schedule(**plain)` makes it again."""
        return asdict(self)
