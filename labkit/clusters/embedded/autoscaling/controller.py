"""HorizontalPodAutoscalers: every few seconds as many replicas as their metrics ask for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from labkit.clusters.embedded import quantities, subresources
from labkit.clusters.embedded.api import Api, timestamp
from labkit.clusters.embedded.autoscaling import behavior, replicas
from labkit.clusters.embedded.autoscaling.metrics import Metrics
from labkit.clusters.embedded.autoscaling.replicas import NoReplicas, Proposal
from labkit.clusters.embedded.controllers.base import Key, key_of, record, set_condition, set_status
from labkit.clusters.embedded.errors import ApiError
from labkit.clusters.embedded.selectors import by_labels
from labkit.clusters.embedded.store import Change

Object = dict[str, Any]
KEY = "horizontalpodautoscalers.autoscaling"
EVERY_SECONDS = 2.0
_SOURCE = "horizontal-pod-autoscaler"
_BELOW, _ABOVE = "All metrics below target", "{} above target"


class _CannotTell(Exception):
    """No metric says how many replicas there should be.

    Attributes:
        reason: Of the condition and the event, `FailedGetResourceMetric`.
        inner: What went wrong, without what went wrong because of it.
    """

    def __init__(self, reason: str, inner: str, whole: str) -> None:
        super().__init__(whole)
        self.reason, self.inner = reason, inner


@dataclass
class _Memory:
    """What is remembered of one HorizontalPodAutoscaler between two looks at it."""

    uid: str
    spec: Object
    due: float = 0.0
    history: behavior.History = field(default_factory=behavior.History)


@dataclass(frozen=True)
class _Wanted:
    """What the metrics ask for, together.

    Attributes:
        replicas: The most that any of them asks for.
        because: The metric that does, in words.
        shown: The entries of `status.currentMetrics`.
    """

    replicas: int
    because: str
    shown: list[Object]


class Autoscalers:
    """Scales workloads.

    Args:
        metrics: What their pods use.
        every: Seconds between two looks.
        clock: Gives the time in seconds.
    """

    def __init__(
        self, metrics: Metrics, every: float = EVERY_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._metrics = metrics
        self._every = every
        self._clock = clock
        self._known: dict[Key, _Memory] = {}

    def concerned(self, api: Api, change: Change) -> Iterable[Key]:
        """HorizontalPodAutoscalers."""
        return [key_of(change.now.object)] if change.resource == KEY else []

    def reconcile(self, api: Api, namespace: str, name: str) -> float | None:
        """Look at one, unless that was done just now; gives when to look again."""
        thing, now = api.find(KEY, namespace, name), self._clock()
        if thing is None:
            self._known.pop((namespace, name), None)
            return None
        memory = self._known.get((namespace, name))
        if memory is None or memory.uid != thing["metadata"]["uid"]:
            memory = self._known[namespace, name] = _Memory(thing["metadata"]["uid"], thing["spec"])
        if memory.spec != thing["spec"]:
            memory.spec, memory.due = thing["spec"], 0.0
        if now < memory.due:
            return None
        memory.due = now + self._every
        _Look(api, thing, self._metrics, memory.history, now).take()
        return self._every


class _Look:
    """One look at one HorizontalPodAutoscaler.

    Args:
        api: The cluster's objects.
        thing: The HorizontalPodAutoscaler.
        metrics: What pods use.
        history: What was recommended and done before.
        now: The time, by the history's clock.
    """

    def __init__(
        self, api: Api, thing: Object, metrics: Metrics, history: behavior.History, now: float
    ) -> None:
        self.api, self.thing, self.metrics, self.history, self.now = api, thing, metrics, history, now
        self.spec = thing["spec"]
        self.status: Object = {**thing.get("status", {})}
        self.conditions: list[Object] = list(self.status.get("conditions") or ())

    def take(self) -> None:
        """Measure, decide, scale, and write the status."""
        target = self.spec["scaleTargetRef"]
        namespace, name = self.thing["metadata"]["namespace"], target["name"]
        try:
            resource = self.api.resources.of_kind(target.get("apiVersion", "v1"), target["kind"])
            if resource is None or "scale" not in resource.subresources:
                kind = f'{target["kind"]} in version "{target.get("apiVersion", "v1")}"'
                raise ApiError(404, "NotFound", f"no matches for a kind that can be scaled: {kind}")
            scale = subresources.scale_of(resource, self.api.get(resource, namespace, name).object)
        except ApiError as error:
            why = f"the HPA controller was unable to get the target's current scale: {error.message}"
            self._condition("AbleToScale", "False", "FailedGetScale", why)
            record(self.api, self.thing, "FailedGetScale", error.message, _SOURCE, "Warning")
            self._write()
            return
        got = "the HPA controller was able to get the target's current scale"
        self._condition("AbleToScale", "True", "SucceededGetScale", got)
        current = scale["spec"]["replicas"]
        wanted, reason = self._desired(current, scale)
        if wanted != current:
            subresources.set_scale(self.api, resource, namespace, name, {"spec": {"replicas": wanted}})
            done = f"the HPA controller was able to update the target scale to {wanted}"
            self._condition("AbleToScale", "True", "SucceededRescale", done)
            record(
                self.api, self.thing, "SuccessfulRescale", f"New size: {wanted}; reason: {reason}", _SOURCE
            )
            self.history.changed.append((self.now, wanted - current))
            self.status["lastScaleTime"] = timestamp()
        self.status |= {"currentReplicas": current, "desiredReplicas": wanted}
        self._write()

    def _desired(self, current: int, scale: Object) -> tuple[int, str]:
        """How many replicas there are to be, and why."""
        least, most = self.spec.get("minReplicas", 1), self.spec["maxReplicas"]
        if current == 0 and least != 0:
            why = "scaling is disabled since the replica count of the target is zero"
            self._condition("ScalingActive", "False", "ScalingDisabled", why)
            return 0, ""
        if current > most:
            return most, "Current number of replicas above Spec.MaxReplicas"
        if current < least:
            return least, "Current number of replicas below Spec.MinReplicas"
        try:
            asked = self._ask(current, scale["status"].get("selector", ""))
        except _CannotTell as error:
            record(self.api, self.thing, error.reason, error.inner, _SOURCE, "Warning")
            record(self.api, self.thing, "FailedComputeMetricsReplicas", str(error), _SOURCE, "Warning")
            return current, ""
        self.status["currentMetrics"] = asked.shown
        decision = behavior.decide(self.spec, current, asked.replicas, self.history, self.now)
        self._condition("AbleToScale", "True", *decision.able)
        self._condition("ScalingLimited", str(decision.limited), *decision.limit)
        return decision.replicas, _ABOVE.format(asked.because) if decision.replicas > current else _BELOW

    def _ask(self, current: int, selector: str) -> _Wanted:
        """What all metrics together ask for."""
        fits = by_labels(selector)
        pods = [p for p in self.api.each("pods", self.thing["metadata"]["namespace"]) if fits and fits(p)]
        most, because, shown = 0, "", []
        first: _CannotTell | None = None
        failed = 0
        for metric in self.spec["metrics"]:
            try:
                proposal, words, entry = self._one(metric, current, pods)
            except _CannotTell as error:
                first, failed = first or error, failed + 1
                continue
            shown.append(entry)
            if proposal.replicas > most:
                most, because = proposal.replicas, words
        # Some unknown metrics never scale a workload in, but what is known may scale it out.
        if first is not None and (failed == len(self.spec["metrics"]) or most < current):
            unable = f"the HPA was unable to compute the replica count: {first.inner}"
            self._condition("ScalingActive", "False", first.reason, unable)
            of = f"{failed} invalid out of {len(self.spec['metrics'])}"
            raise _CannotTell(first.reason, first.inner, f"invalid metrics ({of}), first error is: {first}")
        found = f"the HPA was able to successfully calculate a replica count from {because}"
        self._condition("ScalingActive", "True", "ValidMetricFound", found)
        return _Wanted(most, because, shown)

    def _one(self, metric: Object, current: int, pods: list[Object]) -> tuple[Proposal, str, Object]:
        kind = metric["type"]
        if kind == "Pods":
            return self._pods(metric, current, pods)
        if kind not in ("Resource", "ContainerResource"):
            why = f"the embedded cluster measures no {kind} metrics: Resource, ContainerResource and Pods"
            raise _CannotTell(f"FailedGet{kind}Metric", why, why)
        return self._resource(metric, current, pods)

    def _resource(self, metric: Object, current: int, pods: list[Object]) -> tuple[Proposal, str, Object]:
        kind = metric["type"]
        field_name = kind[0].lower() + kind[1:]
        source = metric[field_name]
        name, target, container = source["name"], source["target"], source.get("container", "")
        now = datetime.now(UTC)
        try:
            measured = self.metrics.resource(pods, name, container)
            if target.get("averageUtilization") is not None:
                asked = target["averageUtilization"]
                found = replicas.for_utilization(current, asked, pods, measured, name, now, container)
                words = f"{name} resource utilization (percentage of request)"
            else:
                asked = quantities.milli(quantities.parse(target["averageValue"]))
                found = replicas.for_average(current, asked, pods, measured, name, now)
                words = f"{name} resource"
        except NoReplicas as why:
            inner = f"failed to get {name} utilization: {why}"
            whole = f"failed to get {name} resource metric value: {inner}"
            raise _CannotTell(f"FailedGet{kind}Metric", inner, whole) from why
        shown: Object = {"averageValue": _quantity(found.average)}
        if found.utilization is not None:
            shown["averageUtilization"] = found.utilization
        named = {"name": name, **({"container": container} if container else {})}
        return found, words, {"type": kind, field_name: {**named, "current": shown}}

    def _pods(self, metric: Object, current: int, pods: list[Object]) -> tuple[Proposal, str, Object]:
        source = metric["pods"]
        name = source["metric"]["name"]
        try:
            asked = quantities.milli(quantities.parse(source["target"]["averageValue"]))
            found = replicas.for_average(
                current, asked, pods, self.metrics.custom(pods, name), "", datetime.now(UTC)
            )
        except NoReplicas as why:
            whole = f"failed to get pods metric value: {why}"
            raise _CannotTell("FailedGetPodsMetric", str(why), whole) from why
        shown = {"metric": {"name": name}, "current": {"averageValue": _quantity(found.average)}}
        return found, f"pods metric {name}", {"type": "Pods", "pods": shown}

    def _condition(self, kind: str, status: str, reason: str, message: str) -> None:
        found = set_condition(self.conditions, kind, status, reason, message)
        self.conditions = [{n: v for n, v in one.items() if n != "lastUpdateTime"} for one in found]

    def _write(self) -> None:
        self.status["conditions"] = self.conditions
        self.status.setdefault("desiredReplicas", 0)
        set_status(self.api, KEY, self.api.find(KEY, *key_of(self.thing)) or self.thing, self.status)


def _quantity(thousandths: int) -> str:
    return quantities.decimal(Decimal(thousandths).scaleb(-3))
