"""What `kubectl get` prints: each kind's columns, as the API server makes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from labkit.clusters.embedded.api import moment
from labkit.clusters.embedded.resources import Resource
from labkit.clusters.embedded.selectors import written

Object = dict[str, Any]
Column = tuple[str, str, int]
Row = Callable[[Object], list[Any]]
_NONE, _UNSET = "<none>", "<unset>"


def duration(seconds: float) -> str:
    """A span of time as Kubernetes writes it: `2m5s`, `3d4h`."""
    total = max(0, int(seconds))
    minutes, hours, days = total // 60, total // 3600, total // 86400
    if total < 120:
        return f"{total}s"
    if minutes < 10:
        return f"{minutes}m{total % 60}s" if total % 60 else f"{minutes}m"
    if hours < 3:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
    if days < 730:
        return f"{days}d"
    return f"{days // 365}y{days % 365}d"


def age(thing: Object, field: str = "creationTimestamp") -> str:
    """How old an object is."""
    text = thing["metadata"].get(field)
    return since(text) if text else "<unknown>"


def since(text: str) -> str:
    """How long ago a time was."""
    return duration((datetime.now(UTC) - moment(text)).total_seconds())


def table(
    resource: Resource, things: Iterable[Object], metadata: Object, include: str = "Metadata"
) -> Object:
    """Objects as a Table.

    Args:
        resource: Whose they are.
        things: The objects.
        metadata: The list's own: its revision, where it goes on.
        include: How much of each object comes along: `None`, `Metadata` or `Object`.
    """
    columns, row = _custom(resource) if resource.schema is not None else _KINDS.get(resource.key, _PLAIN)
    described = [
        {
            "name": name,
            "type": kind,
            "format": "name" if name == "Name" else "",
            "description": "",
            "priority": priority,
        }
        for name, kind, priority in columns
    ]
    rows = []
    for thing in things:
        shown = thing
        if include == "Metadata":
            shown = {
                "kind": "PartialObjectMetadata",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": thing["metadata"],
            }
        rows.append({"cells": row(thing), **({} if include == "None" else {"object": shown})})
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": described,
        "rows": rows,
    }


def _name(thing: Object) -> str:
    return str(thing["metadata"]["name"])


def _owner_images(thing: Object) -> list[str]:
    containers = thing["spec"]["template"]["spec"].get("containers") or []
    return [
        ",".join(one["name"] for one in containers),
        ",".join(str(one.get("image")) for one in containers),
    ]


def _columns(text: str) -> list[Column]:
    """`Name,Ready:integer,+IP`: name and type of each; `+` is shown with `-o wide` only."""
    found = []
    for part in text.split(","):
        name, _, kind = part.lstrip("+").partition(":")
        found.append((name, kind or "string", 1 if part.startswith("+") else 0))
    return found


def pod_status(pod: Object) -> str:
    """The word under STATUS."""
    status = pod.get("status", {})
    word = status.get("reason") or status.get("phase", "Unknown")
    for i, one in enumerate(status.get("initContainerStatuses") or ()):
        state = one.get("state", {})
        if (ended := state.get("terminated")) and ended.get("exitCode") == 0:
            continue
        if ended:
            word = f"Init:{ended.get('reason') or 'ExitCode:' + str(ended.get('exitCode'))}"
        elif (reason := state.get("waiting", {}).get("reason")) and reason != "PodInitializing":
            word = f"Init:{reason}"
        else:
            word = f"Init:{i}/{len(pod['spec'].get('initContainers') or ())}"
        break
    else:
        running = False
        for one in reversed(status.get("containerStatuses") or ()):
            state = one.get("state", {})
            if reason := state.get("waiting", {}).get("reason"):
                word = reason
            elif "terminated" in state:
                word = state["terminated"].get("reason") or f"ExitCode:{state['terminated'].get('exitCode')}"
            elif one.get("ready"):
                running = True
        if word == "Completed" and running:
            word = "Running"
    if pod["metadata"].get("deletionTimestamp"):
        return "Terminating"
    return str(word)


def _pod(pod: Object) -> list[Any]:
    statuses = pod.get("status", {}).get("containerStatuses") or []
    ready = sum(bool(one.get("ready")) for one in statuses)
    restarts: Any = sum(one.get("restartCount", 0) for one in statuses)
    ends = [one.get("lastState", {}).get("terminated", {}).get("finishedAt") for one in statuses]
    if restarts and (known := [end for end in ends if end]):
        restarts = f"{restarts} ({since(max(known))} ago)"
    spec, status = pod["spec"], pod.get("status", {})
    return [
        _name(pod), f"{ready}/{len(spec.get('containers') or ())}", pod_status(pod), str(restarts), age(pod),
        status.get("podIP") or _NONE, spec.get("nodeName") or _NONE, status.get("nominatedNodeName") or _NONE, _NONE,
    ]  # fmt: skip


def _deployment(thing: Object) -> list[Any]:
    status, wanted = thing.get("status", {}), thing["spec"].get("replicas", 0)
    return [
        _name(thing), f"{status.get('readyReplicas', 0)}/{wanted}", status.get("updatedReplicas", 0),
        status.get("availableReplicas", 0), age(thing), *_owner_images(thing), written(thing["spec"].get("selector")),
    ]  # fmt: skip


def _replica_set(thing: Object) -> list[Any]:
    status = thing.get("status", {})
    return [
        _name(thing), thing["spec"].get("replicas", 0), status.get("replicas", 0), status.get("readyReplicas", 0),
        age(thing), *_owner_images(thing), written(thing["spec"].get("selector")),
    ]  # fmt: skip


def _job(thing: Object) -> list[Any]:
    status, spec = thing.get("status", {}), thing["spec"]
    wanted = spec.get("completions")
    of = (
        str(wanted)
        if wanted is not None
        else f"1 of {spec['parallelism']}"
        if spec["parallelism"] > 1
        else "1"
    )
    word = "Running"
    for condition in status.get("conditions") or ():
        if condition["status"] == "True" and condition["type"] in ("Complete", "Failed", "Suspended"):
            word = condition["type"]
    took = ""
    if started := status.get("startTime"):
        end = moment(status["completionTime"]) if "completionTime" in status else datetime.now(UTC)
        took = duration((end - moment(started)).total_seconds())
    return [
        _name(thing), word, f"{status.get('succeeded', 0)}/{of}", took, age(thing), *_owner_images(thing),
        written(spec.get("selector")),
    ]  # fmt: skip


def _service(thing: Object) -> list[Any]:
    spec, ports = thing["spec"], []
    for port in thing["spec"].get("ports") or ():
        node = f":{port['nodePort']}" if port.get("nodePort") else ""
        ports.append(f"{port['port']}{node}/{port.get('protocol', 'TCP')}")
    outside = "<pending>" if spec["type"] == "LoadBalancer" else spec.get("externalName") or _NONE
    chosen = ",".join(f"{key}={value}" for key, value in sorted((spec.get("selector") or {}).items()))
    return [
        _name(thing), spec["type"], spec.get("clusterIP") or _NONE, outside, ",".join(ports) or _NONE, age(thing),
        chosen or _NONE,
    ]  # fmt: skip


def _node(thing: Object) -> list[Any]:
    info = thing.get("status", {}).get("nodeInfo", {})
    ready = next((c for c in thing.get("status", {}).get("conditions") or () if c["type"] == "Ready"), None)
    word = "Unknown" if ready is None else "Ready" if ready["status"] == "True" else "NotReady"
    if thing.get("spec", {}).get("unschedulable"):
        word += ",SchedulingDisabled"
    prefix = "node-role.kubernetes.io/"
    labels = thing["metadata"].get("labels") or {}
    roles = ",".join(sorted(key.removeprefix(prefix) for key in labels if key.startswith(prefix)))
    addresses = {one["type"]: one["address"] for one in thing.get("status", {}).get("addresses") or ()}
    return [
        _name(thing), word, roles or _NONE, age(thing), info.get("kubeletVersion", ""),
        addresses.get("InternalIP", _NONE), addresses.get("ExternalIP", _NONE), info.get("osImage", ""),
        info.get("kernelVersion", ""), info.get("containerRuntimeVersion", ""),
    ]  # fmt: skip


def _autoscaler(thing: Object) -> list[Any]:
    spec, status = thing["spec"], thing.get("status", {})
    now = {_metric_name(one): one for one in status.get("currentMetrics") or ()}
    shown = []
    for metric in spec.get("metrics") or ():
        source = metric[metric["type"][0].lower() + metric["type"][1:]]
        current = now.get(_metric_name(metric), {})
        found = current.get(metric["type"][0].lower() + metric["type"][1:], {}).get("current", {})
        target, prefix = source["target"], f"{source['name']}: " if metric["type"] == "Resource" else ""
        if "averageUtilization" in target:
            value = f"{found['averageUtilization']}%" if "averageUtilization" in found else "<unknown>"
            shown.append(f"{prefix}{value}/{target['averageUtilization']}%")
        else:
            shown.append(
                f"{prefix}{found.get('averageValue', '<unknown>')}/{target.get('averageValue', target.get('value'))}"
            )
    target = spec["scaleTargetRef"]
    return [
        _name(thing), f"{target['kind']}/{target['name']}", ", ".join(shown) or _NONE, str(spec.get("minReplicas", 1)),
        spec["maxReplicas"], status.get("currentReplicas", 0), age(thing),
    ]  # fmt: skip


def _metric_name(metric: Object) -> tuple[str, str]:
    source = metric.get(metric["type"][0].lower() + metric["type"][1:]) or {}
    return metric["type"], source.get("name") or (source.get("metric") or {}).get("name", "")


def _budget(thing: Object) -> list[Any]:
    spec = thing.get("spec", {})
    return [
        _name(thing), str(spec.get("minAvailable", "N/A")), str(spec.get("maxUnavailable", "N/A")),
        thing.get("status", {}).get("disruptionsAllowed", 0), age(thing),
    ]  # fmt: skip


def _event(thing: Object) -> list[Any]:
    seen = thing.get("lastTimestamp") or thing["metadata"]["creationTimestamp"]
    about, source = thing["involvedObject"], thing.get("source") or {}
    return [
        since(seen), thing.get("type", ""), thing.get("reason", ""), f"{about.get('kind', '').lower()}/{about.get('name')}",
        about.get("fieldPath", ""), source.get("component", ""), thing.get("message", ""),
        since(thing.get("firstTimestamp") or seen), thing.get("count", 1), _name(thing),
    ]  # fmt: skip


def _endpoints(thing: Object) -> list[Any]:
    shown = [
        f"{address['ip']}:{port['port']}"
        for subset in thing.get("subsets") or ()
        for address in subset.get("addresses") or ()
        for port in subset.get("ports") or ()
    ]
    more = f" + {len(shown) - 3} more..." if len(shown) > 3 else ""
    return [_name(thing), ",".join(shown[:3]) + more or _NONE, age(thing)]


def _slice(thing: Object) -> list[Any]:
    ports = ",".join(str(port.get("port")) for port in thing.get("ports") or ()) or _UNSET
    addresses = [one for endpoint in thing.get("endpoints") or () for one in endpoint.get("addresses") or ()]
    more = f" + {len(addresses) - 3} more..." if len(addresses) > 3 else ""
    return [
        _name(thing),
        thing.get("addressType"),
        ports,
        ",".join(addresses[:3]) + more or _UNSET,
        age(thing),
    ]


def _claim(thing: Object) -> list[Any]:
    spec, status = thing["spec"], thing.get("status", {})
    short = {
        "ReadWriteOnce": "RWO",
        "ReadOnlyMany": "ROX",
        "ReadWriteMany": "RWX",
        "ReadWriteOncePod": "RWOP",
    }
    modes = ",".join(short.get(mode, mode) for mode in status.get("accessModes") or ())
    return [
        _name(thing), status.get("phase"), spec.get("volumeName", ""), (status.get("capacity") or {}).get("storage", ""),
        modes, spec.get("storageClassName", ""), _UNSET, age(thing), spec.get("volumeMode", ""),
    ]  # fmt: skip


def _custom(resource: Resource) -> tuple[list[Column], Row]:
    columns: list[Column] = [("Name", "string", 0)]
    columns += [(one["name"], one["type"], one.get("priority", 0)) for one in resource.columns]
    # A definition that names columns of its own shows those, and no age unless it says so.
    named = bool(resource.columns)

    def row(thing: Object) -> list[Any]:
        cells: list[Any] = [_name(thing)]
        for one in resource.columns:
            found: Any = thing
            for name in one["jsonPath"].strip(".").split("."):
                found = found.get(name) if isinstance(found, dict) else None
            cells.append(since(found) if one["type"] == "date" and found else found)
        return cells if named else [*cells, age(thing)]

    return columns if named else [*columns, ("Age", "string", 0)], row


_PLAIN: tuple[list[Column], Row] = (_columns("Name,Age"), lambda thing: [_name(thing), age(thing)])
_KINDS: dict[str, tuple[list[Column], Row]] = {
    "pods": (_columns("Name,Ready,Status,Restarts,Age,+IP,+Node,+Nominated Node,+Readiness Gates"), _pod),
    "deployments.apps": (_columns("Name,Ready,Up-to-date:integer,Available:integer,Age,+Containers,+Images,+Selector"), _deployment),
    "replicasets.apps": (_columns("Name,Desired:integer,Current:integer,Ready:integer,Age,+Containers,+Images,+Selector"), _replica_set),
    "jobs.batch": (_columns("Name,Status,Completions,Duration,Age,+Containers,+Images,+Selector"), _job),
    "services": (_columns("Name,Type,Cluster-IP,External-IP,Port(s),Age,+Selector"), _service),
    "nodes": (_columns("Name,Status,Roles,Age,Version,+Internal-IP,+External-IP,+OS-Image,+Kernel-Version,+Container-Runtime"), _node),
    "namespaces": (_columns("Name,Status,Age"), lambda t: [_name(t), t["status"].get("phase"), age(t)]),
    "configmaps": (_columns("Name,Data:integer,Age"), lambda t: [_name(t), len(t.get("data") or {}) + len(t.get("binaryData") or {}), age(t)]),
    "secrets": (_columns("Name,Type,Data:integer,Age"), lambda t: [_name(t), t.get("type"), len(t.get("data") or {}), age(t)]),
    "serviceaccounts": (_columns("Name,Secrets:integer,Age"), lambda t: [_name(t), len(t.get("secrets") or ()), age(t)]),
    "endpoints": (_columns("Name,Endpoints,Age"), _endpoints),
    "endpointslices.discovery.k8s.io": (_columns("Name,AddressType,Ports,Endpoints,Age"), _slice),
    "horizontalpodautoscalers.autoscaling": (_columns("Name,Reference,Targets,MinPods,MaxPods:integer,Replicas:integer,Age"), _autoscaler),
    "poddisruptionbudgets.policy": (_columns("Name,Min Available,Max Unavailable,Allowed Disruptions:integer,Age"), _budget),
    "events": (_columns("Last Seen,Type,Reason,Object,+Subobject,+Source,Message,+First Seen,+Count:integer,+Name"), _event),
    "persistentvolumeclaims": (_columns("Name,Status,Volume,Capacity,Access Modes,StorageClass,VolumeAttributesClass,Age,+VolumeMode"), _claim),
    "customresourcedefinitions.apiextensions.k8s.io": (_columns("Name,Created At"), lambda t: [_name(t), t["metadata"]["creationTimestamp"]]),
}  # fmt: skip
