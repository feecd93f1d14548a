"""ReplicaSets: as many pods as they ask for."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from labkit.clusters.embedded.api import Api, moment
from labkit.clusters.embedded.controllers.base import (
    Key,
    active,
    claim,
    key_of,
    of_owner,
    owner_of,
    pod_from,
    ready,
    ready_since,
    record,
    set_status,
)
from labkit.clusters.embedded.resources import built_in
from labkit.clusters.embedded.selectors import labels_of, matches
from labkit.clusters.embedded.store import Change

Object = dict[str, Any]
_SOURCE = "replicaset-controller"


class ReplicaSets:
    """Makes and deletes pods."""

    def concerned(self, api: Api, change: Change) -> Iterable[Key]:
        """ReplicaSets, and those whose pods change; a pod of nobody's concerns those that select it."""
        if change.resource == "pods" and change.kind != "DELETED" and owner_of(change.now.object) is None:
            pod = change.now.object
            sets = api.each("replicasets.apps", pod["metadata"]["namespace"])
            return [key_of(one) for one in sets if matches(one["spec"].get("selector"), labels_of(pod))]
        return of_owner(change, "ReplicaSet", "replicasets.apps", "pods")

    def reconcile(self, api: Api, namespace: str, name: str) -> float | None:
        """Make what is missing, delete what is too much, count what there is."""
        thing = api.find("replicasets.apps", namespace, name)
        if thing is None:
            return None
        pods = [pod for pod in claim(api, "pods", thing) if active(pod)]
        wanted = thing["spec"]["replicas"]
        if "deletionTimestamp" not in thing["metadata"]:
            for _ in range(wanted - len(pods)):
                made, _ = api.create(built_in("pods"), namespace, pod_from(thing["spec"]["template"], thing))
                pods.append(made.object)
                record(
                    api, thing, "SuccessfulCreate", f"Created pod: {made.object['metadata']['name']}", _SOURCE
                )
            for pod in sorted(pods, key=_first_to_go)[: max(0, len(pods) - wanted)]:
                api.delete(built_in("pods"), namespace, pod["metadata"]["name"])
                record(api, thing, "SuccessfulDelete", f"Deleted pod: {pod['metadata']['name']}", _SOURCE)
                pods.remove(pod)
        return self._count(api, thing, pods)

    def _count(self, api: Api, thing: Object, pods: list[Object]) -> float | None:
        least, now, waits = thing["spec"].get("minReadySeconds", 0), datetime.now(UTC), []
        labels = thing["spec"]["template"]["metadata"].get("labels") or {}
        status: Object = {"replicas": len(pods)}
        if full := sum(matches({"matchLabels": labels}, labels_of(pod)) for pod in pods):
            status["fullyLabeledReplicas"] = full
        available = 0
        for pod in filter(ready, pods):
            left = least - (now - moment(ready_since(pod))).total_seconds() if least else 0.0
            available += left <= 0
            waits += [left] if left > 0 else []
        if count := sum(map(ready, pods)):
            status["readyReplicas"] = count
        if available:
            status["availableReplicas"] = available
        status["observedGeneration"] = thing["metadata"]["generation"]
        set_status(api, "replicasets.apps", thing, status)
        return min(waits) if waits else None


def _first_to_go(pod: Object) -> tuple[bool, bool, bool, float]:
    """Pods without a node first, then those that are not ready, then the youngest."""
    waits = pod.get("status", {}).get("phase") == "Pending"
    young = -moment(pod["metadata"]["creationTimestamp"]).timestamp()
    return bool(pod["spec"].get("nodeName")), not waits, ready(pod), young
