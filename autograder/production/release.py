"""One release as a submission's plan has it: rolled out, tried, switched to, watched, or taken back."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from autograder.production.deployed import Deployed
from autograder.production.manifests import Plan
from labkit.errors import WorkFault
from labkit.monitoring import Monitoring

Note = Callable[[str], None]


class Ended(StrEnum):
    """How a release ended."""

    RELEASED = "released"
    NOT_READY = "not ready"
    REFUSED = "refused by its smoke test"
    TAKEN_BACK = "taken back by an alert"


@dataclass(frozen=True)
class Release:
    """What became of a release.

    Attributes:
        ended: How it ended.
        why: The alert, the number of wrong answers, or the cluster's words.
        colour: The colour that was released.
        switched: When the Service was turned to it, Unix seconds; None if it never was.
        back: When it was turned back; None if it was not.
    """

    ended: Ended
    why: str
    colour: str
    switched: float | None = None
    back: float | None = None

    @property
    def exposed_seconds(self) -> float:
        """For how long it had traffic before it was taken back."""
        return (self.back or 0.0) - (self.switched or 0.0) if self.back else 0.0

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self) | {"ended": self.ended.value}


def release(deployed: Deployed, plan: Plan, image: str, monitoring: Monitoring, note: Note) -> Release:
    """Release an image in the idle colour.

    Args:
        deployed: Where.
        plan: How.
        image: What.
        monitoring: Whose alerts may take it back.
        note: Told of each step as it is done.
    """
    old, colour = deployed.live, deployed.idle
    try:
        deployed.colour_up(colour, image, seconds=plan.ready_seconds, replicas=max(deployed.replicas(old), 1))
    except WorkFault as fault:
        deployed.colour_down(colour)
        note(f"{colour} is not ready")
        return Release(Ended.NOT_READY, str(fault), colour)
    wrong = deployed.smoke(colour, plan.smoke.requests)
    if wrong > plan.smoke.most_errors:
        deployed.colour_down(colour)
        note(f"smoke test refuses {colour}")
        return Release(Ended.REFUSED, f"{wrong} of {plan.smoke.requests} answers were wrong", colour)
    before = monitoring.prometheus.firing()
    switched = deployed.switch(colour)
    note(f"Service turned to {colour}")
    while time.time() < switched + plan.watch_seconds:
        if loud := (monitoring.prometheus.firing() - before) & set(plan.rollback_on):
            back = deployed.switch(old)
            note(f"turned back to {old}")
            deployed.colour_down(colour)
            return Release(Ended.TAKEN_BACK, ", ".join(sorted(loud)), colour, switched, back)
        time.sleep(0.25)
    deployed.colour_down(old)
    return Release(Ended.RELEASED, "", colour, switched)
