"""Simulated services whose true share of late requests is known: how often is a verdict on them wrong?

Each simulator gives the latency of each request of each run in units of the limit, shape `(runs, requests)`:
late is what exceeds 1, with a long-run share of just the allowed one, where wrong verdicts are likeliest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from labkit.slo.bounds import share_bounds
from labkit.slo.judge import NEAR

Latency = NDArray[np.float32]
Simulator = Callable[[int, int, float, np.random.Generator], Latency]


def independent(runs: int, requests: int, share: float, generator: np.random.Generator) -> Latency:
    """Each request is late by itself."""
    return _late(generator.random((runs, requests), dtype=np.float32) < share)


def neighbours(
    runs: int, requests: int, share: float, generator: np.random.Generator, *, cluster: float
) -> Latency:
    """A late request makes the next one late: clusters of this mean length, geometric (a Markov chain)."""
    late = np.empty((requests, runs), dtype=bool)
    enter = share / (1 - share) / cluster
    state = generator.random(runs) < share
    for request in range(requests):
        state = generator.random(runs, dtype=np.float32) < np.where(state, 1 - 1 / cluster, enter)
        late[request] = state
    return _late(late.T)


def stalls(
    runs: int, requests: int, share: float, generator: np.random.Generator, *, cluster: int
) -> Latency:
    """At random moments the server stands still, and just so many requests in a row are late."""
    begins = generator.random((runs, requests + cluster), dtype=np.float32) < -np.log(1 - share) / cluster
    seen = np.cumsum(begins, axis=1, dtype=np.int32)
    return _late(seen[:, cluster:] > seen[:, :-cluster])


def queue(runs: int, requests: int, share: float, generator: np.random.Generator, *, load: float) -> Latency:
    """One server with a queue (M/M/1): sojourn times over their true quantile, which theory gives."""
    limit = -np.log(share) / (1 - load)
    latency = np.empty((requests, runs), dtype=np.float32)
    wait = generator.exponential(load / (1 - load), runs) * (generator.random(runs) < load) / load
    for request in range(requests):
        service = generator.exponential(1.0, runs)
        latency[request] = (wait + service) / limit
        wait = np.maximum(0.0, wait + service - generator.exponential(1 / load, runs))
    return latency.T


def _late(late: NDArray[np.bool_]) -> Latency:
    """Twice the limit where late, a tenth of it elsewhere: lateness that announces itself by nothing."""
    return np.where(late, np.float32(2.0), np.float32(0.1))


def services(requests: int, allowed: float) -> dict[str, Simulator]:
    """The simulators, with clusters that recur 20 times and oftener in a run of so many requests."""
    largest = requests * allowed / 20
    found: dict[str, Simulator] = {"independent": independent}
    for cluster in sorted({2.0, largest / 2, largest}):
        if 1 < cluster <= largest:
            found[f"clusters of {cluster:g} on average"] = partial(neighbours, cluster=cluster)
    if largest >= 2:
        found[f"stalls of {int(largest)}"] = partial(stalls, cluster=int(largest))
    for load in (0.5, 0.7):
        found[f"queue at load {load:g}"] = partial(queue, load=load)
    return found


@dataclass(frozen=True)
class Wrong:
    """Shares of the simulated runs, each as a part of one.

    Attributes:
        passed: Runs of a service just too slow that were passed.
        failed: Runs of a service just fast enough that were failed.
    """

    passed: float
    failed: float


def wrong_verdicts(
    simulator: Simulator,
    *,
    runs: int,
    requests: int,
    allowed: float = 0.01,
    confidence: float = 0.99,
    looks: int = 1,
    seed: int = 1,
) -> Wrong:
    """How often a service exactly at the border is passed, or failed, at any of so many looks.

    At the border a service that is a hair worse must not be passed, and one a hair better not failed: both
    shares are to stay below one minus the confidence.

    Args:
        simulator: The service.
        runs: How many runs to judge.
        requests: Requests of the first look; each further look adds twice as many as the one before.
        allowed: The allowed share of late requests, and the true one.
        confidence: Of the verdicts.
        looks: How many times an inconclusive run is measured on.
        seed: Of the simulation.
    """
    generator = np.random.default_rng(seed)
    measured = [simulator(runs, requests * 2**look, allowed, generator) for look in range(looks)]
    at = 1 - (1 - confidence) / looks
    passed = failed = 0
    for run in range(runs):
        for look in range(looks):
            seen = [np.ascontiguousarray(each[run]) for each in measured[: look + 1]]
            bounds = share_bounds(
                [each > 1 for each in seen],
                allowed=allowed,
                confidence=at,
                near=[each > NEAR for each in seen],
            )
            if bounds.upper <= allowed:
                passed += 1
                break
            if bounds.lower > allowed:
                failed += 1
                break
    return Wrong(passed / runs, failed / runs)
