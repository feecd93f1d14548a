"""How fast a workload may be scaled: stabilisation windows, policies and bounds.

The rules are those of `pkg/controller/podautoscaler/horizontal.go`: first the recommendations of the window
are looked at, so that a passing peak or dip changes nothing, then the policies say how far one step may go.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

Object = dict[str, Any]
DOWN_SECONDS = 300.0
"""The window of scaling down, where a HorizontalPodAutoscaler names none."""
_KEPT_SECONDS = 3600.0


@dataclass
class History:
    """What was recommended and done before; seconds of one clock.

    Attributes:
        recommended: (when, how many replicas) as the metrics asked for, unbounded.
        changed: (when, by how many) the workload was scaled; negative downwards.
    """

    recommended: list[tuple[float, int]] = field(default_factory=list)
    changed: list[tuple[float, int]] = field(default_factory=list)

    def forget(self, now: float) -> None:
        """Drop what no window reaches back to."""
        self.recommended = [one for one in self.recommended if now - one[0] < _KEPT_SECONDS]
        self.changed = [one for one in self.changed if now - one[0] < _KEPT_SECONDS]

    def within(self, seconds: float, now: float, *, up: bool) -> int:
        """By how many replicas it was scaled up, or down, in the last seconds."""
        return sum(abs(by) for at, by in self.changed if now - at < seconds and (by > 0) == up)


@dataclass(frozen=True)
class Decision:
    """What comes of a recommendation.

    Attributes:
        replicas: How many there are to be.
        able: Reason and message of the condition AbleToScale.
        limited: Whether something held it back.
        limit: Reason and message of the condition ScalingLimited.
    """

    replicas: int
    able: tuple[str, str]
    limited: bool
    limit: tuple[str, str]


_READY = ("ReadyForNewScale", "recommended size matches current size")
_DOWN = (
    "ScaleDownStabilized",
    "recent recommendations were higher than current one, applying the highest recent recommendation",
)
_UP = (
    "ScaleUpStabilized",
    "recent recommendations were lower than current one, applying the lowest recent recommendation",
)
_WITHIN = ("DesiredWithinRange", "the desired count is within the acceptable range")
_TOO_MANY = ("TooManyReplicas", "the desired replica count is more than the maximum replica count")
_TOO_FEW = ("TooFewReplicas", "the desired replica count is less than the minimum replica count")
_UP_LIMIT = ("ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate")
_DOWN_LIMIT = ("ScaleDownLimit", "the desired replica count is decreasing faster than the maximum scale rate")


def decide(spec: Object, current: int, wanted: int, history: History, now: float) -> Decision:
    """What a HorizontalPodAutoscaler makes of a recommendation; notes it in the history.

    Args:
        spec: The HorizontalPodAutoscaler's.
        current: How many replicas there are.
        wanted: How many the metrics ask for.
        history: Of this HorizontalPodAutoscaler.
        now: The time, by the history's clock.
    """
    behavior = spec.get("behavior")
    up, down = ((behavior or {}).get(name) or {} for name in ("scaleUp", "scaleDown"))
    steady, able = _stabilise(up, down, current, wanted, history, now)
    history.forget(now)
    history.recommended.append((now, wanted))
    least, most = spec.get("minReplicas", 1), spec["maxReplicas"]
    if behavior is None:
        return _bounded(steady, able, least, most, max(2 * current, 4), 0)
    ceiling = max(current, _limit(up, current, history, now, up=True))
    floor = min(current, _limit(down, current, history, now, up=False))
    if steady == current:
        return Decision(steady, able, False, _WITHIN)
    return _bounded(steady, able, least, most, ceiling, floor)


def _stabilise(
    up: Object, down: Object, current: int, wanted: int, history: History, now: float
) -> tuple[int, tuple[str, str]]:
    lowest = highest = wanted
    for at, recommended in history.recommended:
        if now - at < up.get("stabilizationWindowSeconds", 0):
            lowest = min(lowest, recommended)
        if now - at < down.get("stabilizationWindowSeconds", DOWN_SECONDS):
            highest = max(highest, recommended)
    steady = min(max(current, lowest), highest) if lowest <= highest else wanted
    if steady == wanted:
        return steady, _READY
    return steady, _UP if wanted >= current else _DOWN


def _bounded(steady: int, able: tuple[str, str], least: int, most: int, ceiling: int, floor: int) -> Decision:
    if steady > min(most, ceiling):
        return Decision(min(most, ceiling), able, True, _UP_LIMIT if ceiling < most else _TOO_MANY)
    if steady < max(least, floor):
        return Decision(max(least, floor), able, True, _DOWN_LIMIT if floor > least else _TOO_FEW)
    return Decision(steady, able, False, _WITHIN)


def _limit(rules: Object, current: int, history: History, now: float, *, up: bool) -> int:
    """How far the policies let one step go."""
    if rules.get("selectPolicy") == "Disabled":
        return current
    reached = []
    for policy in rules["policies"]:
        seconds = policy["periodSeconds"]
        before = current - history.within(seconds, now, up=True) + history.within(seconds, now, up=False)
        change = policy["value"] if policy["type"] == "Pods" else before * policy["value"] / 100
        reached.append(math.ceil(round(before + change, 9)) if up else int(before - change))
    furthest = rules.get("selectPolicy", "Max") == "Max"
    return max(reached) if furthest == up else min(reached)
