"""Scale, eviction, binding: other views of an object, and what they change in it."""

from __future__ import annotations

from typing import Any

from labkit.clusters.embedded import errors
from labkit.clusters.embedded.api import Admission, Api, timestamp
from labkit.clusters.embedded.resources import Resource, built_in
from labkit.clusters.embedded.selectors import matches, written

Object = dict[str, Any]


def _at(thing: Object, path: str) -> Any:
    found: Any = thing
    for name in path.strip(".").split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found


def scale_of(resource: Resource, thing: Object) -> Object:
    """A workload's Scale."""
    paths = resource.scale_paths or {
        "specReplicasPath": "spec.replicas",
        "statusReplicasPath": "status.replicas",
    }
    metadata = thing["metadata"]
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    status: Object = {"replicas": _at(thing, paths["statusReplicasPath"]) or 0}
    if selector := written(
        thing["spec"].get("selector") if isinstance(thing["spec"].get("selector"), dict) else None
    ):
        status["selector"] = selector
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: metadata[name] for name in kept if name in metadata},
        "spec": {"replicas": _at(thing, paths["specReplicasPath"]) or 0},
        "status": status,
    }


def set_scale(
    api: Api,
    resource: Resource,
    namespace: str,
    name: str,
    scale: Object,
    *,
    dry_run: bool = False,
    admit: Admission | None = None,
) -> Object:
    """Change how many replicas a workload is to have; gives its Scale.

    Raises:
        ApiError: It is refused.
    """
    wanted = (scale.get("spec") or {}).get("replicas", 0)
    if not isinstance(wanted, int) or isinstance(wanted, bool):
        raise errors.bad_request(
            'Scale in version "v1" cannot be handled as a Scale: json: cannot unmarshal string into Go struct field ScaleSpec.spec.replicas of type int32'
        )
    if wanted < 0:
        cause = errors.invalid("spec.replicas", wanted, "must be greater than or equal to 0")
        raise errors.unprocessable(Resource("autoscaling", "v1", "scales", "Scale"), name, [cause])
    path = (
        (resource.scale_paths or {"specReplicasPath": "spec.replicas"})["specReplicasPath"]
        .strip(".")
        .split(".")
    )
    patch: Any = wanted
    for part in reversed(path):
        patch = {part: patch}
    if asked := (scale.get("metadata") or {}).get("resourceVersion"):
        patch["metadata"] = {"resourceVersion": asked}
    stored, _ = api.patch(resource, namespace, name, patch, dry_run=dry_run, admit=admit)
    return scale_of(resource, stored.object)


def evict(api: Api, namespace: str, name: str, eviction: Object) -> Object:
    """Delete a pod if its disruption budgets allow it.

    Raises:
        ApiError: 429 if a budget does not.
    """
    pods = built_in("pods")
    pod = api.get(pods, namespace, name).object
    dry_run = bool((eviction.get("deleteOptions") or {}).get("dryRun"))
    ended = pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
    if not ended and "deletionTimestamp" not in pod["metadata"]:
        labels = pod["metadata"].get("labels") or {}
        budgets = [
            b
            for b in api.each("poddisruptionbudgets.policy", namespace)
            if matches(b["spec"].get("selector"), labels)
        ]
        if len(budgets) > 1:
            raise errors.ApiError(
                500,
                "InternalError",
                "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
            )
        for budget in budgets:
            _spend(api, budget, pod, dry_run)
    options = {**(eviction.get("deleteOptions") or {}), "dryRun": ["All"] if dry_run else None}
    api.delete(pods, namespace, name, options)
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


def _spend(api: Api, budget: Object, pod: Object, dry_run: bool) -> None:
    status, name = budget.get("status") or {}, budget["metadata"]["name"]
    ready = any(
        c["type"] == "Ready" and c["status"] == "True" for c in pod.get("status", {}).get("conditions") or ()
    )
    if not ready and status.get("currentHealthy", 0) >= status.get("desiredHealthy", 0):
        return
    observed = status.get("observedGeneration", 0) >= budget["metadata"].get("generation", 0)
    if status.get("disruptionsAllowed", 0) < 1 or not observed:
        why = f"The disruption budget {name} needs {status.get('desiredHealthy', 0)} healthy pods and has {status.get('currentHealthy', 0)} currently"
        raise errors.ApiError(
            429, "TooManyRequests", "Cannot evict pod as it would violate the pod's disruption budget.",
            {"causes": [{"reason": "DisruptionBudget", "message": why}]}, {"Retry-After": "10"},
        )  # fmt: skip
    if not dry_run:
        disrupted = {**(status.get("disruptedPods") or {}), pod["metadata"]["name"]: timestamp()}
        spent = {**status, "disruptionsAllowed": status["disruptionsAllowed"] - 1, "disruptedPods": disrupted}
        resource = built_in("poddisruptionbudgets.policy")
        api.patch(resource, budget["metadata"]["namespace"], name, {"status": spent}, status=True)


def bind(api: Api, namespace: str, name: str, node: str) -> None:
    """Give a pod its node.

    Raises:
        ApiError: It has one already.
    """
    pods = built_in("pods")
    pod = api.get(pods, namespace, name).copy()
    if pod["spec"].get("nodeName"):
        raise errors.conflict(
            pods, name, f'pod {name} is already assigned to node "{pod["spec"]["nodeName"]}"'
        )
    pod["spec"]["nodeName"] = node
    conditions = [c for c in pod["status"].get("conditions") or () if c["type"] != "PodScheduled"]
    now = timestamp()
    conditions.append(
        {"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": now}
    )
    pod["status"]["conditions"] = conditions
    api.store.put("pods", namespace, name, pod)
