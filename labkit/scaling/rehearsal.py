"""An autoscaler on a virtual clock: Kubernetes' algorithm, a load, and a server whose capacity is known.

The decisions are those of the embedded cluster's own controller, which follows Kubernetes' documented rules.
The server is a queue: so many requests at a time, each so long, others wait. Nothing runs, so what comes of
it is `simulated`; it takes a tenth of a second, and shows in which direction a number in the manifest leads.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from labkit.clusters.embedded import admission, quantities
from labkit.clusters.embedded.api import timestamp
from labkit.clusters.embedded.autoscaling import behavior
from labkit.clusters.embedded.autoscaling.replicas import (
    Measured,
    NoReplicas,
    for_average,
    for_utilization,
)
from labkit.clusters.embedded.resources import built_in
from labkit.errors import WorkFault
from labkit.scaling.timeline import Timeline
from labkit.verdicts import Tier

Object = dict[str, Any]
STEP = 0.1
"""Seconds of a step."""
_START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Load:
    """Requests a second over time.

    Attributes:
        parts: (seconds, requests a second at the beginning, and at the end), one after the other.
        seed: Of the arrivals, which are independent of each other.
    """

    parts: Sequence[tuple[float, float, float]]
    seed: int = 0

    def rates(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Requests a second at each step."""
        return np.concatenate(
            [np.linspace(first, last, round(seconds / STEP)) for seconds, first, last in self.parts]
        )


@dataclass(frozen=True)
class Server:
    """What one replica can do.

    Attributes:
        slots: Requests that it works on at a time.
        seconds: How long one takes.
        cpu_seconds: Of the processor's time that one takes.
        waiting: Requests that may wait; it refuses the others.
        start_seconds: From the decision to start one until it is ready.
        window: Seconds over which it says the mean of its requests in flight.
    """

    slots: int = 2
    seconds: float = 0.1
    cpu_seconds: float = 0.005
    waiting: int = 40
    start_seconds: float = 3.0
    window: float = 4.0

    @property
    def capacity(self) -> float:
        """Requests a second."""
        return self.slots / self.seconds


@dataclass
class _Pod:
    name: str
    made: float
    ready_at: float


@dataclass
class _Run:
    """The state between two steps."""

    pods: list[_Pod]
    queue: float = 0.0
    number: int = 0
    history: behavior.History = field(default_factory=behavior.History)


def rehearse(
    autoscaler: Object,
    deployment: Object,
    load: Load,
    server: Server | None = None,
    *,
    every: float = 2.0,
) -> Timeline:
    """What the autoscaler does with the load.

    Args:
        autoscaler: A HorizontalPodAutoscaler, as its manifest says it.
        deployment: The Deployment that it scales: what a container requests decides about utilisation.
        load: What comes.
        server: What a replica can do.
        every: Seconds between two looks of the autoscaler; Kubernetes' default is 15.

    Raises:
        WorkFault: A metric can't be had: a container requests no cpu, or the server has no such metric.
    """
    server = server or Server()
    spec = _completed(autoscaler)["spec"]
    template = deployment["spec"]["template"]["spec"]
    rates = load.rates()
    arrivals = np.random.default_rng(load.seed).poisson(rates * STEP)
    run = _Run([_Pod("pod-0", -60.0, -60.0)])
    while len(run.pods) < spec.get("minReplicas", 1):
        _grow(run, -60.0, -60.0)
    recent: deque[tuple[float, float]] = deque(maxlen=max(1, round(server.window / STEP)))
    rows = []
    for step, came in enumerate(arrivals):
        now = step * STEP
        ready = sum(pod.ready_at <= now for pod in run.pods)
        served = min(run.queue + came, ready * server.capacity * STEP)
        run.queue += came - served
        refused = max(0.0, run.queue - ready * server.waiting)
        run.queue -= refused
        wait = run.queue / (ready * server.capacity) if ready else float("inf")
        took = float("inf") if refused >= 0.5 else server.seconds + wait
        recent.append((served / STEP * server.seconds + run.queue, served / STEP * server.cpu_seconds))
        rows.append((now, rates[step], len(run.pods), ready, took, came))
        if step and step % round(every / STEP) == 0:
            _look(run, spec, template, np.mean(recent, axis=0), now, server)
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    return Timeline(
        seconds=columns[0],
        offered=columns[1],
        replicas=columns[2].astype(np.int64),
        ready=columns[3].astype(np.int64),
        latency=columns[4].astype(np.float64),
        requests=columns[5].astype(np.float64),
        tier=Tier.SIMULATED,
    )


def _completed(autoscaler: Object) -> Object:
    """The manifest as an API server keeps it."""
    resource = built_in("horizontalpodautoscalers.autoscaling")
    thing, _ = admission.read(resource, copy.deepcopy(autoscaler), "Ignore")
    admission.complete(resource, thing, None)
    return thing


def _look(run: _Run, spec: Object, template: Object, means: Any, now: float, server: Server) -> None:
    """One look of the autoscaler."""
    clock = _START + timedelta(seconds=now)
    pods = [_shown(pod, template, now) for pod in run.pods]
    ready = [pod for pod in run.pods if pod.ready_at <= now]
    in_flight, cpu = (float(mean) / max(1, len(ready)) for mean in means)
    values = {"requests_in_flight": in_flight, "cpu": cpu}
    current = len(run.pods)
    asked = max(
        _ask(metric, values, pods, [pod.name for pod in ready], current, clock) for metric in spec["metrics"]
    )
    wanted = behavior.decide(spec, current, asked, run.history, now).replicas
    if wanted != current:
        run.history.changed.append((now, wanted - current))
    for _ in range(current, wanted):
        _grow(run, now, now + server.start_seconds)
    if wanted < current:  # those that are not ready go first, as a ReplicaSet does it
        run.pods = sorted(run.pods, key=lambda pod: pod.ready_at)[:wanted]


def _ask(
    metric: Object,
    values: dict[str, float],
    pods: list[Object],
    ready: list[str],
    current: int,
    clock: datetime,
) -> int:
    kind = metric["type"]
    source = metric[kind[0].lower() + kind[1:]]
    name = source["metric"]["name"] if kind == "Pods" else source["name"]
    if name not in values or (name == "cpu") != (kind in ("Resource", "ContainerResource")):
        raise WorkFault(
            f"The server has no {kind} metric {name!r}.",
            next_step="It has the resource cpu, and the pods' own metric requests_in_flight.",
        )
    measured = {one: Measured(round(values[name] * 1000), clock, 0.0) for one in ready}
    target = source["target"]
    resource = "cpu" if name == "cpu" else ""
    try:
        if target.get("averageUtilization") is not None:
            wanted = target["averageUtilization"]
            return for_utilization(
                current, wanted, pods, measured, resource, clock, source.get("container", "")
            ).replicas
        if target.get("averageValue") is None:
            raise WorkFault(
                f"The metric {name} has no target for a pod's mean.",
                next_step="Give averageUtilization or averageValue.",
            )
        wanted = quantities.milli(quantities.parse(target["averageValue"]))
        return for_average(current, wanted, pods, measured, resource, clock).replicas
    except NoReplicas as error:
        raise WorkFault(
            f"The autoscaler can't tell how many replicas are wanted: {error}.",
            next_step="Utilisation is a percentage of what a container requests.",
        ) from error


def _grow(run: _Run, made: float, ready_at: float) -> None:
    run.number += 1
    run.pods.append(_Pod(f"pod-{run.number}", made, ready_at))


def _shown(pod: _Pod, template: Object, now: float) -> Object:
    """A pod as the API shows it."""
    is_ready = pod.ready_at <= now
    changed = timestamp(_START + timedelta(seconds=pod.ready_at))
    condition = {"type": "Ready", "status": str(is_ready), "lastTransitionTime": changed}
    status = {
        "phase": "Running" if is_ready else "Pending",
        "startTime": timestamp(_START + timedelta(seconds=pod.made)),
        "conditions": [condition],
    }
    return {"metadata": {"name": pod.name}, "spec": template, "status": status}
