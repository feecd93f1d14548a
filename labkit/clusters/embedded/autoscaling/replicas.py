"""How many replicas a metric asks for, by Kubernetes' documented algorithm.

The rules are those of `pkg/controller/podautoscaler/replica_calculator.go`: the ratio of what is measured to
its target, a tolerance around 1, and careful assumptions about pods that are not ready or not measured.
All amounts are whole thousandths, as Kubernetes counts them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from labkit.clusters.embedded import quantities
from labkit.clusters.embedded.api import moment

Object = dict[str, Any]
TOLERANCE = 0.1
INITIALIZATION_SECONDS = 300.0
"""For so long after a pod's start its cpu counts only once it is ready and measured since."""
READINESS_SECONDS = 30.0
"""A pod that is not ready within so many seconds of its start is taken never to have been."""


class NoReplicas(Exception):
    """A metric says nothing about how many replicas there should be, and why."""


@dataclass(frozen=True)
class Measured:
    """What one pod was measured to use.

    Attributes:
        value: In thousandths.
        at: When.
        window: The seconds over which it is the mean.
    """

    value: int
    at: datetime
    window: float


@dataclass(frozen=True)
class Proposal:
    """What a metric asks for.

    Attributes:
        replicas: How many.
        average: The mean of a pod, in thousandths.
        utilization: The percentage of what is requested; None where the target is a plain value.
    """

    replicas: int
    average: int
    utilization: int | None = None


@dataclass(frozen=True)
class _Groups:
    counted: int
    unready: list[str]
    missing: list[str]
    metrics: dict[str, int]


def for_utilization(
    current: int,
    target: int,
    pods: list[Object],
    measured: Mapping[str, Measured],
    resource: str,
    now: datetime,
    container: str = "",
) -> Proposal:
    """Replicas for a target in percent of what the pods request.

    Args:
        current: How many replicas there are.
        target: The percentage.
        pods: All pods of the workload.
        measured: What is known, by the pods' names.
        resource: `cpu` or `memory`.
        now: The time.
        container: The one container that counts; all by default.

    Raises:
        NoReplicas: Nothing is measured, or a container requests nothing.
    """
    groups = _group(pods, measured, resource, now)
    requests = {pod["metadata"]["name"]: _request(pod, resource, container) for pod in pods}
    total = sum(requests[name] for name in groups.metrics)
    if not total:
        raise NoReplicas(f"no metrics returned matched known pods for resource {resource}")
    used = sum(groups.metrics.values())
    percent = used * 100 // total

    def ratio(metrics: Mapping[str, int]) -> float:
        whole = sum(requests[name] for name in metrics)
        return (sum(metrics.values()) * 100 // whole) / target

    full = {name: amount * max(100, target) // 100 for name, amount in requests.items()}
    return Proposal(_replicas(current, groups, ratio, full), used // len(groups.metrics), percent)


def for_average(
    current: int,
    target: int,
    pods: list[Object],
    measured: Mapping[str, Measured],
    resource: str,
    now: datetime,
) -> Proposal:
    """Replicas for a target that is a plain mean of a pod.

    Args:
        current: How many replicas there are.
        target: The mean that is asked for, in thousandths.
        pods: All pods of the workload.
        measured: What is known, by the pods' names.
        resource: `cpu` or `memory`; empty for any other metric.
        now: The time.

    Raises:
        NoReplicas: Nothing is measured.
    """
    groups = _group(pods, measured, resource, now)

    def ratio(metrics: Mapping[str, int]) -> float:
        return sum(metrics.values()) / len(metrics) / target

    as_asked = {pod["metadata"]["name"]: target for pod in pods}
    used = sum(groups.metrics.values())
    return Proposal(_replicas(current, groups, ratio, as_asked), used // len(groups.metrics))


def _replicas(current: int, groups: _Groups, ratio: Any, when_scaling_down: Mapping[str, int]) -> int:
    """The heart of it: what is not known is assumed such that the change is the smaller for it."""
    first = ratio(groups.metrics)
    unready = groups.unready if first > 1 else []
    if not unready and not groups.missing:
        return current if _within(first) else math.ceil(first * groups.counted)
    metrics = dict(groups.metrics)
    for name in groups.missing:
        if first < 1:
            metrics[name] = when_scaling_down[name]
        elif first > 1:
            metrics[name] = 0
    metrics.update(dict.fromkeys(unready, 0))
    second = ratio(metrics)
    if _within(second) or (first < 1 < second) or (second < 1 < first):
        return current
    wanted = math.ceil(second * len(metrics))
    turned = (second < 1 and wanted > current) or (second > 1 and wanted < current)
    return current if turned else wanted


def _within(ratio: float) -> bool:
    return 1.0 - TOLERANCE <= ratio <= 1.0 + TOLERANCE


def _group(pods: list[Object], measured: Mapping[str, Measured], resource: str, now: datetime) -> _Groups:
    counted, unready, missing, metrics = 0, [], [], {}
    for pod in pods:
        name, status = pod["metadata"]["name"], pod.get("status", {})
        if "deletionTimestamp" in pod["metadata"] or status.get("phase") == "Failed":
            continue
        if status.get("phase") == "Pending":
            unready.append(name)
        elif name not in measured:
            missing.append(name)
        elif resource == "cpu" and _still_starting(status, measured[name], now):
            unready.append(name)
        else:
            counted += 1
            metrics[name] = measured[name].value
    if not metrics:
        raise NoReplicas("did not receive metrics for targeted pods (pods might be unready)")
    return _Groups(counted, unready, missing, metrics)


def _still_starting(status: Object, measured: Measured, now: datetime) -> bool:
    """Whether what was measured is a pod's start rather than its work."""
    ready = next((one for one in status.get("conditions") or () if one["type"] == "Ready"), None)
    if ready is None or "startTime" not in status:
        return True
    started, changed = moment(status["startTime"]), moment(ready["lastTransitionTime"])
    if (now - started).total_seconds() < INITIALIZATION_SECONDS:
        return ready["status"] == "False" or (measured.at - changed).total_seconds() < measured.window
    return ready["status"] == "False" and (changed - started).total_seconds() < READINESS_SECONDS


def _request(pod: Object, resource: str, only: str) -> int:
    total = 0
    for container in _counted(pod, only):
        amount = ((container.get("resources") or {}).get("requests") or {}).get(resource)
        if amount is None:
            name = pod["metadata"]["name"]
            raise NoReplicas(f"missing request for {resource} in container {container['name']} of Pod {name}")
        total += quantities.milli(quantities.parse(amount))
    return total


def _counted(pod: Object, only: str) -> Iterable[Object]:
    return [one for one in pod["spec"]["containers"] if not only or one["name"] == only]
