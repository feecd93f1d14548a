"""The hour: what comes one after the other, how many ask meanwhile, and what is done to the service."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from labkit.load import Schedule


class Event(StrEnum):
    """What is done to the service in a part of the hour."""

    NOTHING = "nothing"
    UPDATE = "update"
    KILLS = "kills"
    DRAIN = "drain"
    BROKEN_RELEASE = "broken release"
    BAD_RELEASE = "bad release"
    OUTAGE = "outage"


@dataclass(frozen=True)
class Part:
    """A part of the hour.

    Attributes:
        name: As the report calls it.
        seconds: How long it lasts.
        rate: Requests per second at its begin.
        end_rate: And at its end.
        event: What is done to the service, some seconds after its begin.
    """

    name: str
    seconds: float
    rate: float
    end_rate: float
    event: Event = Event.NOTHING

    def schedule(self, seed: int) -> Schedule:
        """When its requests are due."""
        return Schedule.ramp(self.rate, self.end_rate, seconds=self.seconds, seed=seed)


PEAK = 140.0
BAD = "a bad release"
"""The part whose loss is judged by itself."""
HOUR = (
    Part("steady", 30, 40, 40),
    Part("ramp", 50, 40, PEAK),
    Part("peak", 25, PEAK, PEAK),
    Part("an update", 45, 80, 80, Event.UPDATE),
    Part("pods killed", 35, 80, 80, Event.KILLS),
    Part("a node drained", 35, 80, 80, Event.DRAIN),
    Part("a broken release", 30, 60, 60, Event.BROKEN_RELEASE),
    Part(BAD, 50, 60, 60, Event.BAD_RELEASE),
    Part("no labels", 40, 60, 60, Event.OUTAGE),
    Part("quiet", 40, 10, 10),
)
SHORT = (
    Part("steady", 10, 40, 40),
    Part("ramp", 25, 40, PEAK),
    Part("peak", 15, PEAK, PEAK),
    Part("an update", 45, 60, 60, Event.UPDATE),
    Part("pods killed", 20, 60, 60, Event.KILLS),
    Part(BAD, 45, 60, 60, Event.BAD_RELEASE),
    Part("no labels", 25, 60, 60, Event.OUTAGE),
)
"""What fits in four minutes: no drain, no broken release, no scale-in."""
