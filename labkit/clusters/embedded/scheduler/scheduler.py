"""The scheduler: a node for each pod, or the reasons why there is none."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from labkit.clusters.embedded import quantities, subresources
from labkit.clusters.embedded.agents import simulated
from labkit.clusters.embedded.api import Api
from labkit.clusters.embedded.controllers.base import Key, key_of, record, set_condition
from labkit.clusters.embedded.resources import built_in
from labkit.clusters.embedded.selectors import expression_matches, labels_of
from labkit.clusters.embedded.store import Change

Object = dict[str, Any]
Amounts = dict[str, Decimal]
NAME = "default-scheduler"
_UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
NOT_READY = "node.kubernetes.io/not-ready"
_PRETENDS = "node(s) only pretend to run pods"


def requests_of(pod: Object) -> Amounts:
    """What a pod asks for: its containers together, or its largest init container."""
    spec, total = pod["spec"], defaultdict[str, Decimal](Decimal)
    for container in spec.get("containers") or ():
        for name, amount in ((container.get("resources") or {}).get("requests") or {}).items():
            total[name] += quantities.parse(amount)
    for container in spec.get("initContainers") or ():
        for name, amount in ((container.get("resources") or {}).get("requests") or {}).items():
            total[name] = max(total[name], quantities.parse(amount))
    return {**total, "pods": Decimal(1)}


def tolerates(tolerations: Iterable[Object], taint: Object) -> bool:
    """Whether a pod may be where a taint is."""
    for one in tolerations:
        if one.get("effect") and one["effect"] != taint.get("effect"):
            continue
        if one.get("key") and one["key"] != taint.get("key"):
            continue
        exists = one.get("operator") == "Exists"
        if (exists and (one.get("key") or True)) or (
            one.get("key") and one.get("value", "") == taint.get("value", "")
        ):
            return True
    return False


def _affine(pod: Object, node: Object) -> bool:
    labels = labels_of(node)
    if any(labels.get(key) != value for key, value in (pod["spec"].get("nodeSelector") or {}).items()):
        return False
    wanted = ((pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    )
    if wanted is None:
        return True
    return any(
        all(expression_matches(one, labels) for one in term.get("matchExpressions") or ())
        and all(
            expression_matches(one, {"metadata.name": node["metadata"]["name"]})
            for one in term.get("matchFields") or ()
        )
        for term in wanted["nodeSelectorTerms"]
    )


def refusals(pod: Object, node: Object, used: Amounts) -> list[str]:
    """Why a node can't take a pod, in the words that people search for; empty if it can."""
    tolerations = pod["spec"].get("tolerations") or []
    spec = node.get("spec") or {}
    if spec.get("unschedulable") and not tolerates(
        tolerations, {"key": _UNSCHEDULABLE, "effect": "NoSchedule"}
    ):
        return ["node(s) were unschedulable"]
    for taint in spec.get("taints") or ():
        if (
            taint.get("effect") in ("NoSchedule", "NoExecute")
            and taint["key"] != _UNSCHEDULABLE
            and not tolerates(tolerations, taint)
        ):
            value = taint.get("value", "")
            return [f"node(s) had untolerated taint {{{taint['key']}: {value}}}"]
    if not _affine(pod, node):
        return ["node(s) didn't match Pod's node affinity/selector"]
    there = (node.get("status") or {}).get("allocatable") or {}
    found = []
    for name, amount in requests_of(pod).items():
        if amount > quantities.parse(there.get(name, "0")) - used.get(name, Decimal(0)):
            found.append("Too many pods" if name == "pods" else f"Insufficient {name}")
    return found


def _pretends(node: Object) -> bool:
    return bool(labels_of(node).get(simulated.LABEL) == simulated.NAME)


def _may_yet(pod: Object, node: Object) -> bool:
    """Whether a node that runs containers has, or will have, what a pod asks for: then no other may pretend to."""
    if _pretends(node):
        return False
    spec = node.get("spec") or {}
    ready = {
        **node,
        "spec": {**spec, "taints": [t for t in spec.get("taints") or () if t["key"] != NOT_READY]},
    }
    there = (node.get("status") or {}).get("allocatable") or {}
    lacking = [one.removeprefix("Insufficient ") for one in refusals(pod, ready, {})]
    return all(name in there and name in ("cpu", "memory", "ephemeral-storage") for name in lacking)


class Scheduler:
    """Binds pods to nodes."""

    def concerned(self, api: Api, change: Change) -> Iterable[Key]:
        """Pods without a node; all of them when there is more room."""
        if change.resource == "pods":
            pod = change.now.object
            if change.kind != "DELETED" and not pod["spec"].get("nodeName"):
                return [key_of(pod)] if change.kind == "ADDED" else []
            freed = change.kind == "DELETED" or pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
            return self._waiting(api) if freed else []
        if change.resource == "nodes":
            before = change.before.object if change.before else {}
            now = change.now.object
            same = all(before.get(part) == now.get(part) for part in ("spec",)) and (
                (before.get("status") or {}).get("allocatable")
                == (now.get("status") or {}).get("allocatable")
                and labels_of(now) == (before.get("metadata") or {}).get("labels", {})
            )
            return [] if same and change.kind == "MODIFIED" else self._waiting(api)
        return []

    def reconcile(self, api: Api, namespace: str, name: str) -> float | None:
        """Bind a pod, or say why it can't be."""
        pod = api.find("pods", namespace, name)
        if pod is None or pod["spec"].get("nodeName") or "deletionTimestamp" in pod["metadata"]:
            return None
        if pod["spec"].get("schedulerName", NAME) != NAME:
            return None
        nodes = sorted(api.each("nodes"), key=lambda node: str(node["metadata"]["name"]))
        used = self._used(api)
        why: Counter[str] = Counter()
        hopeless, fits = 0, []
        for node in nodes:
            reasons = refusals(pod, node, used[node["metadata"]["name"]])
            if reasons:
                why.update(reasons)
                hopeless += reasons[0].startswith("node(s)")
            else:
                fits.append(node)
        if any(_may_yet(pod, node) for node in nodes):
            pretending = [node for node in fits if _pretends(node)]
            why.update([_PRETENDS] * len(pretending))
            hopeless += len(pretending)
            fits = [node for node in fits if not _pretends(node)]
        if not fits:
            self._refuse(api, pod, len(nodes), why, hopeless)
            return None
        chosen = max(fits, key=lambda node: self._room(node, used[node["metadata"]["name"]]))["metadata"][
            "name"
        ]
        subresources.bind(api, namespace, name, chosen)
        record(api, pod, "Scheduled", f"Successfully assigned {namespace}/{name} to {chosen}", NAME)
        return None

    def _waiting(self, api: Api) -> list[Key]:
        return [key_of(pod) for pod in api.each("pods") if not pod["spec"].get("nodeName")]

    def _used(self, api: Api) -> dict[str, Amounts]:
        used: dict[str, Amounts] = defaultdict(lambda: defaultdict(Decimal))
        for pod in api.each("pods"):
            if pod["spec"].get("nodeName") and pod.get("status", {}).get("phase") not in (
                "Succeeded",
                "Failed",
            ):
                for name, amount in requests_of(pod).items():
                    used[pod["spec"]["nodeName"]][name] += amount
        return used

    def _room(self, node: Object, used: Amounts) -> Decimal:
        """The share that is free of what is scarcest: the emptiest node is taken."""
        there = node["status"]["allocatable"]
        shares = [
            1 - used.get(n, Decimal(0)) / quantities.parse(there[n])
            for n in ("cpu", "memory", "pods")
            if n in there and quantities.parse(there[n])
        ]
        return min(shares, default=Decimal(0))

    def _refuse(self, api: Api, pod: Object, count: int, why: Counter[str], hopeless: int) -> None:
        listed = ", ".join(sorted(f"{number} {reason}" for reason, number in why.items()))
        message = (
            f"0/{count} nodes are available: {listed}." if count else "no nodes available to schedule pods"
        )
        if count:
            parts = [f"{hopeless} Preemption is not helpful for scheduling"] if hopeless else []
            parts += (
                [f"{count - hopeless} No preemption victims found for incoming pod"]
                if count > hopeless
                else []
            )
            message += f" preemption: 0/{count} nodes are available: {', '.join(sorted(parts))}."
        status = {**pod.get("status", {})}
        old = next((one for one in status.get("conditions") or () if one["type"] == "PodScheduled"), None)
        if old is None or old.get("message") != message:
            conditions = set_condition(
                list(status.get("conditions") or ()), "PodScheduled", "False", "Unschedulable", message
            )
            for one in conditions:
                one.pop("lastUpdateTime", None)
            api.update(
                built_in("pods"),
                *key_of(pod),
                {**pod, "metadata": {}, "status": {**status, "conditions": conditions}},
                status=True,
            )
            record(api, pod, "FailedScheduling", message, NAME, "Warning")
