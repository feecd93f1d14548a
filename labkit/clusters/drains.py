"""Taking pods away as maintenance does: by evictions, which a disruption budget may put off."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from labkit.clusters.kubectl import Kubectl
from labkit.errors import WorkFault

Object = dict[str, Any]
SIMULATED = "workbook.agent"
"""The label of nodes on which nothing runs."""


def drain(
    kubectl: Kubectl, selector: str, *, seconds: float = 60.0, say: Callable[[str], None] = lambda _: None
) -> str:
    """Drain the node of these pods; where their node is the only one, evict them one after the other.

    The second is what `kubectl drain` does without the cordon: on a single node the pods that take their
    place have nowhere else to go.

    Args:
        kubectl: In which namespace.
        selector: Of the pods, `app=model`.
        seconds: For how long.
        say: Told what is done.

    Returns:
        How it was done, in words.

    Raises:
        WorkFault: A budget allowed no eviction until the time was over.
    """
    nodes = [
        node["metadata"]["name"]
        for node in kubectl.get("nodes")["items"]
        if SIMULATED not in node["metadata"].get("labels", {}) and not node["spec"].get("unschedulable")
    ]
    pods = _running(kubectl, selector)
    if len(nodes) > 1:
        node = pods[0]["spec"]["nodeName"]
        say(f"draining {node}")
        try:
            kubectl(
                *("drain", node, f"--pod-selector={selector}", "--ignore-daemonsets", "--force"),
                *("--delete-emptydir-data", f"--timeout={seconds:.0f}s"),
            )
        finally:
            kubectl("uncordon", node)
        return f"node {node} drained"
    deadline = time.monotonic() + seconds
    for place, pod in enumerate(pods, start=1):
        say(f"evicting pod {place} of {len(pods)}")
        evict(kubectl, pod["metadata"]["name"], deadline)
    return f"{len(pods)} pods evicted one after the other, on the only node"


def _running(kubectl: Kubectl, selector: str) -> list[Object]:
    found: list[Object] = kubectl.get("pods", f"--selector={selector}")["items"]
    return [pod for pod in found if not pod["metadata"].get("deletionTimestamp")]


def evict(kubectl: Kubectl, pod: str, deadline: float) -> None:
    """Evict a pod as soon as its budget allows that.

    Args:
        kubectl: In which namespace.
        pod: Its name.
        deadline: Until when, by `time.monotonic()`.

    Raises:
        WorkFault: It could not be evicted until then.
    """
    metadata = {"name": pod, "namespace": kubectl.namespace}
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
    path = f"/api/v1/namespaces/{kubectl.namespace}/pods/{pod}/eviction"
    while True:
        try:
            kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))
            return
        except WorkFault as refusal:
            if time.monotonic() > deadline:
                raise WorkFault(f"Pod {pod} could not be evicted.", why=refusal.what) from refusal
            time.sleep(0.5)
