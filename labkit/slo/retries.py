"""Measuring again what was too close to call."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from labkit.load.recording import Recording
from labkit.slo.judge import doubts, excuse, judge, judge_availability
from labkit.slo.objectives import AvailabilityObjective, Objective
from labkit.verdicts import Judgement, Tier, Verdict


class Decision(NamedTuple):
    """A judgement and what it rests on.

    Attributes:
        judgement: The last one made; `measured["tries"]` says how often was measured.
        recordings: Every recording, whole, in order.
    """

    judgement: Judgement
    recordings: list[Recording]


def measure_until_decided(
    measure: Callable[[int], Recording],
    objective: Objective | AvailabilityObjective,
    *,
    kind: str | None = None,
    tries: int = 3,
    tier: Tier = Tier.LOCAL,
) -> Decision:
    """Measure, and measure again while the verdict is inconclusive.

    What earlier tries measured counts on, unless the generator or other programs were at fault. The
    confidence is shared among the tries, so that trying again makes no wrong verdict likelier.

    Args:
        measure: Makes one recording; called with 0, 1, 2, from which it should take another seed, and
            may take a longer run.
        objective: What was promised.
        kind: The request kind that is judged; all by default.
        tries: The most measurements.
        tier: What the service ran on.
    """
    recordings: list[Recording] = []
    sound: list[Recording] = []
    while True:
        recording = measure(len(recordings))
        recordings.append(recording)
        one = recording if kind is None else recording.only(kind)
        doubtful = bool(doubts([one], objective) or excuse([one]))
        if not doubtful:
            sound.append(one)
        # One beside busy programs may pass by itself; it does not count against the server.
        judgement = _judge([one] if doubtful else sound, objective, tier, tries)
        judgement.measured["tries"] = len(recordings)
        hopeless = recording.interrupted or recording.gave_up
        if judgement.verdict is not Verdict.INCONCLUSIVE or hopeless or len(recordings) >= tries:
            return Decision(judgement, recordings)


def _judge(
    recordings: list[Recording], objective: Objective | AvailabilityObjective, tier: Tier, looks: int
) -> Judgement:
    if isinstance(objective, Objective):
        return judge(recordings, objective, tier=tier, looks=looks)
    return judge_availability(recordings, objective, tier=tier, looks=looks)
