"""What an hour says of a service: each promise held against what was seen, with its points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from autograder.production.contract import ERRORS, LABELS_DOWN, LIMIT_MS
from autograder.production.hour import Seen
from autograder.production.manifests import at
from autograder.production.release import Ended
from autograder.production.script import BAD, PEAK, Event
from labkit.clusters.embedded.quantities import parse as quantity
from labkit.load import Outcome
from labkit.slo import (
    AvailabilityObjective,
    Day,
    Fleet,
    Objective,
    cost_of,
    judge,
    judge_availability,
    judge_cost,
    price_of,
)
from labkit.verdicts import Judgement, Tier, Verdict

NODE, NODE_CORES = "c7i.large", 2
BUDGET = 0.001
SOON_SECONDS = 15.0
JOINED_SHARE = 0.99
LAG_LIMIT_MS = LIMIT_MS / 2
"""The most that the generator may be late itself, at p99 of a part. It shares the machine's cores with the
pods that start during a release. Its lag counts into every latency, so that it can only make a service look
worse; and an answer that was late by its lag alone is never held against the service."""
LATENCY = Objective(milliseconds=LIMIT_MS, quantile=0.99, lag_limit_ms=LAG_LIMIT_MS)
GRACE_SECONDS = 15.0
"""For how long after an event an alert may still speak of it."""


@dataclass(frozen=True)
class Promise:
    """One promise, and whether it was kept.

    Attributes:
        name: As the report calls it.
        points: What it is worth.
        share: The part of it that was earned.
        found: What was seen.
    """

    name: str
    points: float
    share: float
    found: Judgement

    @property
    def earned(self) -> float:
        """Its points."""
        return round(self.points * self.share, 1)


def promises(seen: Seen) -> list[Promise]:
    """Every promise that this hour put to the test."""
    ordinary = seen.recordings(without=[BAD])
    found = [
        _whole("latency", 20, judge(ordinary, LATENCY)),
        _whole("availability", 20, judge_availability(ordinary, AvailabilityObjective(share=1 - BUDGET))),
        _whole("cost", 10, cost(seen)),
        _scaling(seen),
        _update(seen),
    ]
    if Event.BROKEN_RELEASE in seen.releases:
        found.append(_broken(seen))
    return [*found, _bad(seen), _alerts(seen), _logs(seen)]


def score(found: list[Promise]) -> tuple[float, float]:
    """Points, and out of how many: what could not be decided counts in neither."""
    decided = [each for each in found if each.found.verdict in (Verdict.PASSED, Verdict.FAILED)]
    return round(sum(each.earned for each in decided), 1), sum(each.points for each in decided)


def budget(seen: Seen) -> Judgement:
    """The whole hour's availability against its error budget, the bad release with it."""
    whole = judge_availability(seen.recordings(), AvailabilityObjective(share=1 - BUDGET))
    requests, missed = whole.measured["requests"], whole.measured["errors"]
    spent = missed / (BUDGET * requests) if requests else 0.0
    summary = f"{missed:,} of {requests:,} requests missed: {spent:.0%} of the error budget of {BUDGET:.1%}"
    return Judgement(whole.verdict, summary, whole.tier, whole.measured | {"budget_spent": spent})


def cost(seen: Seen) -> Judgement:
    """What an inference costs on a bursty day whose bursts are as high as this hour's peak."""
    peak = seen.of("peak")
    live = "blue"
    if peak is None:
        return Judgement(Verdict.NOT_MEASURED, "there was no peak")
    deployment = seen.manifests.one(live, "Deployment")
    requested = at(deployment, "spec", "template", "spec", "containers", 0, "resources", "requests", "cpu")
    a_node = max(int(NODE_CORES / float(quantity(requested))), 1) if requested else 1
    least = at(seen.manifests.one(live, "HorizontalPodAutoscaler"), "spec", "minReplicas") or 1
    fleet = Fleet(
        replica_rate=PEAK / max(_replicas_at_peak(seen), 1),
        replicas_per_node=a_node,
        least_replicas=int(least),
        target_utilisation=1.0,  # the replicas that it had, it was given by its autoscaler
    )
    return judge_cost(cost_of(Day.mostly_idle(PEAK), fleet, price_of(NODE)), peak)


def _replicas_at_peak(seen: Seen) -> float:
    part, began, _ = next(each for each in seen.parts if each[0].name == "peak")
    return max((_at_time(series, began + part.seconds) for series in seen.replicas.values()), default=1.0)


def _at_time(series: Any, when: float) -> float:
    before = series.values[series.times <= when]
    return float(before[-1]) if len(before) else 0.0


def _whole(name: str, points: float, found: Judgement) -> Promise:
    return Promise(name, points, float(found.verdict is Verdict.PASSED), found)


def _said(holds: dict[str, bool], evidence: str, tier: Tier = Tier.LOCAL) -> tuple[float, Judgement]:
    """The share of what holds, and the judgement that says what does not."""
    share = sum(holds.values()) / len(holds)
    missing = "; ".join(name for name, each in holds.items() if not each)
    summary = evidence if share == 1 else f"{evidence}. Not so: {missing}"
    return share, Judgement(Verdict.PASSED if share == 1 else Verdict.FAILED, summary, tier, dict(holds))


def _scaling(seen: Seen) -> Promise:
    """More replicas while more was asked, and fewer afterwards where the hour had time for it."""
    first = next((_at_time(each, seen.began + 5) for each in seen.replicas.values()), 0.0)
    peak = _replicas_at_peak(seen)
    holds = {"more replicas at the peak": peak > first}
    evidence = f"{first:.0f} replicas at first, {peak:.0f} at the peak"
    if seen.of("quiet") is not None:
        last = max(
            (float(each.values[-1]) for each in seen.replicas.values() if len(each.values)), default=0.0
        )
        holds["fewer when it was quiet"] = last < peak
        evidence += f", {last:.0f} at the end"
    return Promise("scaling", 10, *_said(holds, evidence))


def _missed(seen: Seen, part: str) -> tuple[int, int]:
    recording = seen.of(part)
    if recording is None:
        return 0, 0
    return int(np.count_nonzero(recording.outcome != Outcome.OK)), len(recording.outcome)


def _update(seen: Seen) -> Promise:
    found = seen.releases.get(Event.UPDATE)
    missed, of = _missed(seen, "an update")
    holds = {
        "the new version was released": found is not None and found.ended is Ended.RELEASED,
        "nothing was lost": missed == 0,
    }
    how = f"{found.ended.value}{': ' * bool(found.why)}{found.why}" if found else "it was never begun"
    return Promise("update", 5, *_said(holds, f"{how}; {missed} of {of:,} requests lost"))


def _broken(seen: Seen) -> Promise:
    found = seen.releases[Event.BROKEN_RELEASE]
    missed, of = _missed(seen, "a broken release")
    holds = {
        "it never had traffic": found.switched is None,
        "nothing was lost": missed == 0,
    }
    return Promise(
        "broken release", 5, *_said(holds, f"{found.ended.value}; {missed} of {of:,} requests lost")
    )


def _bad(seen: Seen) -> Promise:
    found = seen.releases.get(Event.BAD_RELEASE)
    missed, of = _missed(seen, BAD)
    taken_back = found is not None and found.ended is Ended.TAKEN_BACK
    holds = {
        "an alert took it back": taken_back,
        f"within {SOON_SECONDS:.0f} s": taken_back
        and found is not None
        and found.exposed_seconds <= SOON_SECONDS,
    }
    how = f"{found.ended.value}{': ' * bool(found.why)}{found.why}" if found else "it was never begun"
    seconds = f" after {found.exposed_seconds:.1f} s" if taken_back and found else ""
    return Promise("bad release", 10, *_said(holds, f"{how}{seconds}; {missed} of {of:,} requests lost"))


def _alerts(seen: Seen) -> Promise:
    """Those fired that should have, and no other page did."""
    due = {BAD: ERRORS, "no labels": LABELS_DOWN}
    # Before the hour there was nothing to serve: what fired while it was deployed says nothing of it.
    fired = [(each.name, each.since) for each in seen.alerts if each.firing and each.since >= seen.began]
    holds = {}
    explained = set()
    for part, began, _ in seen.parts:
        if part.name in due:
            until = began + part.seconds + GRACE_SECONDS
            holds[f"{due[part.name]} in {part.name!r}"] = any(
                name == due[part.name] and began <= when <= until for name, when in fired
            )
            explained |= {(name, when) for name, when in fired if began <= when <= until}
    released = seen.releases.get(Event.BAD_RELEASE)
    if released is not None and released.switched is None:
        holds.pop(f"{ERRORS} in {BAD!r}", None)  # it never had traffic, so that there was nothing to alert of
    needless = sorted({name for name, when in fired if (name, when) not in explained})
    holds["no other alert"] = not needless
    names = ", ".join(sorted({name for name, _ in fired})) or "none"
    more = f"; needless: {', '.join(needless)}" if needless else ""
    return Promise("alerts", 10, *_said(holds, f"fired: {names}{more}"))


def _logs(seen: Seen) -> Promise:
    whole = sum(hops == 2 for hops in seen.traces.values())
    share = whole / len(seen.traces) if seen.traces else 0.0
    holds = {f"at least {JOINED_SHARE:.0%} in both logs": share >= JOINED_SHARE}
    evidence = f"{whole} of {len(seen.traces)} traced requests are in the logs of server and labels service"
    return Promise("logs", 10, *_said(holds, evidence))
