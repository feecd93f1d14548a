"""What pods on simulated nodes use: as their annotations say, so that autoscaling can be seen without load.

Annotations of a pod, both optional; a pod without either has no metrics:
    simulated.workbook/cpu: what each of its containers uses, `250m`.
    simulated.workbook/memory: the same, `64Mi`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from labkit.clusters.embedded import quantities
from labkit.clusters.embedded.agents import simulated
from labkit.clusters.embedded.api import Api
from labkit.clusters.embedded.selectors import labels_of
from labkit.clusters.embedded.store import Change
from labkit.clusters.embedded.usage import NOTHING, Amount, Used

Object = dict[str, Any]
WINDOW = 15.0


class PretendedUsage:
    """Reads what simulated pods use out of their annotations.

    Args:
        api: The cluster's objects.
    """

    def __init__(self, api: Api) -> None:
        self._api = api
        self._keys = {pod["metadata"]["uid"]: _key(pod) for pod in api.each("pods")}
        api.listen(self._note)

    def of_pod(self, uid: str) -> Used | None:
        """What a running simulated pod uses; None for any other and for one that doesn't say."""
        pod = self._api.find("pods", *self._keys.get(uid, ("", "")))
        if pod is None or pod.get("status", {}).get("phase") != "Running":
            return None
        node = self._api.find("nodes", "", pod["spec"].get("nodeName", ""))
        amount = _said(pod)
        if amount is None or node is None or labels_of(node).get(simulated.LABEL) != simulated.NAME:
            return None
        return Used({one["name"]: amount for one in pod["spec"]["containers"]}, datetime.now(UTC), WINDOW)

    def of_node(self, name: str) -> Used | None:
        """What the pods of a simulated node use together."""
        node = self._api.find("nodes", "", name)
        if node is None or labels_of(node).get(simulated.LABEL) != simulated.NAME:
            return None
        there = (pod for pod in self._api.each("pods") if pod["spec"].get("nodeName") == name)
        known = (self.of_pod(pod["metadata"]["uid"]) for pod in there)
        return Used({"": sum((one.total for one in known if one), NOTHING)}, datetime.now(UTC), WINDOW)

    def _note(self, change: Change) -> None:
        if change.resource != "pods":
            return
        uid = change.now.object["metadata"]["uid"]
        if change.kind == "DELETED":
            self._keys.pop(uid, None)
        else:
            self._keys[uid] = _key(change.now.object)


def _key(pod: Object) -> tuple[str, str]:
    return pod["metadata"]["namespace"], pod["metadata"]["name"]


def _said(pod: Object) -> Amount | None:
    """What its annotations say; None if they say nothing, or nothing that can be read."""
    annotations = pod["metadata"].get("annotations") or {}
    said = [annotations.get(f"{simulated.PREFIX}{name}") for name in ("cpu", "memory")]
    if said == [None, None]:
        return None
    try:
        cpu, memory = (quantities.parse(one or "0") for one in said)
    except ValueError:
        return None
    return Amount(float(cpu), int(memory))
