"""What a service promises."""

from __future__ import annotations

from dataclasses import dataclass

from labkit.errors import WorkbookError


@dataclass(frozen=True, kw_only=True)
class Objective:
    """A latency objective: this part of all requests is answered rightly within the limit.

    Attributes:
        milliseconds: The limit, from the intended send time to the whole answer.
        quantile: The part of the requests that must keep it: 0.99 for a p99.
        confidence: Of the bound that a verdict rests on.
        lag_limit_ms: The most that the generator's own lag may be at p99; a tenth of the limit by default.
    """

    milliseconds: float = 100.0
    quantile: float = 0.99
    confidence: float = 0.99
    lag_limit_ms: float | None = None

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        _check_share("quantile", self.quantile)
        _check_share("confidence", self.confidence, least=0.5)
        if not self.milliseconds > 0:
            raise WorkbookError(
                f"A limit of {self.milliseconds:g} ms can't be kept.", next_step="Give one above zero."
            )

    @property
    def allowed(self) -> float:
        """The share of requests that may be late or not answered."""
        return 1 - self.quantile

    @property
    def lag_limit(self) -> float:
        """The most that the generator's own lag may be at p99, in milliseconds."""
        return self.milliseconds / 10 if self.lag_limit_ms is None else self.lag_limit_ms

    @property
    def name(self) -> str:
        """The quantile as it is usually written: p99, p99.9."""
        return f"p{100 * self.quantile:.6g}"


@dataclass(frozen=True, kw_only=True)
class AvailabilityObjective:
    """An availability objective: this part of all requests gets a right answer before its time-out.

    Attributes:
        share: The part that must be answered: 0.999 for three nines.
        confidence: Of the bound that a verdict rests on.
        lag_limit_ms: The most that the generator's own lag may be at p99.
    """

    share: float = 0.999
    confidence: float = 0.99
    lag_limit_ms: float = 100.0

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        _check_share("share", self.share)
        _check_share("confidence", self.confidence, least=0.5)

    @property
    def allowed(self) -> float:
        """The error budget: the share of requests that may fail."""
        return 1 - self.share

    @property
    def lag_limit(self) -> float:
        """The most that the generator's own lag may be at p99, in milliseconds."""
        return self.lag_limit_ms


def _check_share(name: str, value: float, least: float = 0.0) -> None:
    if not least < value < 1:
        raise WorkbookError(
            f"A {name} of {value:g} is not between {least:g} and 1.",
            next_step=f"Give the {name} as a part of one, such as 0.99.",
        )
