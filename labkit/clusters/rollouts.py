"""Waiting until a Deployment is rolled out, and saying why it is not: which pod, and in whose words."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from labkit.clusters.kubectl import Kubectl
from labkit.errors import WorkFault

Object = dict[str, Any]
_HOPELESS = {
    *("ErrImageNeverPull", "ErrImagePull", "ImagePullBackOff", "InvalidImageName"),
    *("CreateContainerConfigError", "CreateContainerError"),
}
"""Reasons for which a container waits until somebody changes something."""
_PAUSE = 0.5
_RESTARTS = 2
"""A container that crashed so often will again."""


def wait_for_rollout(
    kubectl: Kubectl, deployment: str, *, seconds: float = 60.0, say: Callable[[str], None] = lambda _: None
) -> float:
    """Wait until every replica is of the newest template and ready; gives how many seconds that took.

    It ends early where waiting is of no use: an image that is not there, a container that crashes again and
    again, pods that are refused.

    Args:
        kubectl: In which namespace.
        deployment: Its name.
        seconds: For how long.
        say: Told how far it is, whenever that changes.

    Raises:
        WorkFault: It is not rolled out; names the pod and quotes the cluster.
    """
    began = time.monotonic()
    last = ""
    while True:
        thing = kubectl.get("deployment", deployment)
        if _is_rolled_out(thing):
            return time.monotonic() - began
        ready, wanted = thing.get("status", {}).get("readyReplicas", 0), thing["spec"]["replicas"]
        if (now := f"{ready} of {wanted} replicas are ready") != last:
            say(now)
            last = now
        late = time.monotonic() - began > seconds
        why = _why_not(kubectl, thing, hopeless_only=not late)
        if late or why:
            raise WorkFault(
                f"Deployment {deployment} is not rolled out: {now} after {time.monotonic() - began:.0f} s.",
                why=why or "Its pods say nothing of it.",
                next_step="kubectl describe pod shows the same, with its events.",
            )
        time.sleep(_PAUSE)


def _is_rolled_out(thing: Object) -> bool:
    status, wanted = thing.get("status", {}), thing["spec"]["replicas"]
    seen = status.get("observedGeneration", 0) >= thing["metadata"]["generation"]
    counts = (status.get(name, 0) for name in ("updatedReplicas", "readyReplicas", "replicas"))
    return seen and all(count == wanted for count in counts)


def _why_not(kubectl: Kubectl, thing: Object, *, hopeless_only: bool) -> str:
    """What keeps its pods from being ready; with `hopeless_only` nothing that may still pass."""
    for condition in thing.get("status", {}).get("conditions", ()):
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            return f"No pod can be made: {condition.get('message', '')}"[:300]
    labels = thing["spec"]["selector"].get("matchLabels", {})
    selector = ",".join(f"{name}={value}" for name, value in labels.items())
    words = ""
    for pod in kubectl.get("pods", f"--selector={selector}")["items"]:
        said, hopeless = _of_pod(pod)
        if hopeless:
            return said
        words = words or said
    return "" if hopeless_only else words


def _of_pod(pod: Object) -> tuple[str, bool]:
    """What a pod lacks, and whether waiting is of no use."""
    name, status = pod["metadata"]["name"], pod.get("status", {})
    for one in status.get("containerStatuses", ()):
        waiting = one.get("state", {}).get("waiting", {})
        reason, message = waiting.get("reason", ""), waiting.get("message", "")
        ended = one.get("lastState", {}).get("terminated", {})
        if reason in _HOPELESS:
            return f"Pod {name}: {reason}: {message}"[:300], True
        if one.get("restartCount", 0) >= _RESTARTS and not one.get("ready"):
            code = ended.get("exitCode", "?")
            return f"Pod {name} was restarted {one['restartCount']} times; it ended with code {code}.", True
    for condition in status.get("conditions", ()):
        if condition["status"] == "False" and condition.get("message"):
            return f"Pod {name}: {condition['message']}"[:300], False
    return "", False
