"""Nodes whose pods only change status: pretended capacity, durations and ends, told by annotations.

Annotations of a pod, all optional:
    simulated.workbook/start-seconds: until its containers run (0.2).
    simulated.workbook/ready-seconds: from then until it is ready (0).
    simulated.workbook/run-seconds: until its containers end; pods that are to be restarted always run on.
    simulated.workbook/exit-code: with what they end (0).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from labkit.clusters.embedded.api import Api, moment, timestamp
from labkit.clusters.embedded.controllers.base import Key, key_of, record, set_condition
from labkit.clusters.embedded.resources import built_in
from labkit.clusters.embedded.store import Change

Object = dict[str, Any]
LABEL = "workbook.agent"
"""The node label that tells agents apart."""
NAME = "simulated"
PREFIX = "simulated.workbook/"
DEFAULT_NODE = {"cpu": "8", "memory": "32Gi", "ephemeral-storage": "100Gi", "pods": "110"}


def node(
    name: str,
    capacity: dict[str, str] | None = None,
    labels: dict[str, str] | None = None,
    taints: list[Object] | None = None,
) -> Object:
    """A simulated node, to be created.

    Args:
        name: Its name.
        capacity: What it pretends to have, beside what it has by default: `{"nvidia.com/gpu": "1"}`.
        labels: To add, such as its instance type.
        taints: What pods have to tolerate.
    """
    named = {
        LABEL: NAME,
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
    }
    amounts = {**DEFAULT_NODE, **(capacity or {})}
    return {
        "metadata": {"name": name, "labels": {**named, **(labels or {})}},
        "spec": {"taints": taints} if taints else {},
        "status": {"capacity": amounts, "allocatable": amounts},
    }


def _seconds(pod: Object, name: str, otherwise: float) -> float:
    try:
        return float((pod["metadata"].get("annotations") or {}).get(f"{PREFIX}{name}", otherwise))
    except ValueError:
        return otherwise


class SimulatedNodes:
    """Says that the nodes are ready."""

    def concerned(self, api: Api, change: Change) -> Iterable[Key]:
        """Nodes."""
        return [key_of(change.now.object)] if change.resource == "nodes" and change.kind != "DELETED" else []

    def reconcile(self, api: Api, namespace: str, name: str) -> float | None:
        """Write a node's status, once."""
        thing = api.find("nodes", "", name)
        if thing is None or (thing["metadata"].get("labels") or {}).get(LABEL) != NAME:
            return None
        status = {**thing.get("status", {})}
        if "nodeInfo" in status:
            return None
        status.setdefault("capacity", dict(DEFAULT_NODE))
        status.setdefault("allocatable", status["capacity"])
        status["nodeInfo"] = {
            "kubeletVersion": "v1.37.0-simulated",
            "osImage": "simulated",
            "kernelVersion": "simulated",
            "containerRuntimeVersion": "simulated://1",
            "architecture": "amd64",
            "operatingSystem": "linux",
            "machineID": "",
            "systemUUID": "",
            "bootID": "",
            "kubeProxyVersion": "",
        }
        status["addresses"] = [{"type": "Hostname", "address": name}]
        now = timestamp()
        status["conditions"] = [
            {
                "type": "Ready",
                "status": "True",
                "reason": "KubeletReady",
                "message": "a simulated node: its pods only change status",
                "lastHeartbeatTime": now,
                "lastTransitionTime": now,
            }
        ]
        api.update(built_in("nodes"), "", name, {**thing, "metadata": {}, "status": status}, status=True)
        record(api, thing, "NodeReady", f"Node {name} status is now: NodeReady", "kubelet")
        return None


class SimulatedPods:
    """Moves pods on simulated nodes through their lives."""

    def __init__(self) -> None:
        self._next = 0
        self._seen: dict[tuple[str, str], datetime] = {}

    def _elapsed(self, pod: Object, what: str, text: str, now: datetime) -> float:
        """Seconds since something: objects hold whole seconds, so what was just seen is timed from then on."""
        noted = moment(text)
        first = now if (now - noted).total_seconds() < 1 else noted
        return (now - self._seen.setdefault((pod["metadata"]["uid"], what), first)).total_seconds()

    def concerned(self, api: Api, change: Change) -> Iterable[Key]:
        """Pods that are bound to a simulated node."""
        if change.resource != "pods":
            return []
        if change.kind == "DELETED":
            for what in ("bound", "started"):
                self._seen.pop((change.now.object["metadata"]["uid"], what), None)
            return []
        name = change.now.object["spec"].get("nodeName")
        found = api.find("nodes", "", name) if name else None
        simulated = found is not None and (found["metadata"].get("labels") or {}).get(LABEL) == NAME
        return [key_of(change.now.object)] if simulated else []

    def reconcile(self, api: Api, namespace: str, name: str) -> float | None:
        """One step of a pod's life; gives when the next is due."""
        pod = api.find("pods", namespace, name)
        if pod is None:
            return None
        phase, now = pod["status"].get("phase"), datetime.now(UTC)
        if "deletionTimestamp" in pod["metadata"]:
            if pod["metadata"].get("deletionGracePeriodSeconds", 0) or phase in ("Pending", "Running"):
                return self._end(api, pod, now)
            return None
        if phase in ("Succeeded", "Failed"):
            return None
        bound = next(c for c in pod["status"]["conditions"] if c["type"] == "PodScheduled")[
            "lastTransitionTime"
        ]
        if phase == "Pending":
            left = _seconds(pod, "start-seconds", 0.2) - self._elapsed(pod, "bound", bound, now)
            if left > 0:
                return left
            self._start(api, pod, now)
            return 0.01
        started = moment(pod["status"]["startTime"])
        ran = self._elapsed(pod, "started", pod["status"]["startTime"], now)
        forever = pod["spec"].get("restartPolicy", "Always") == "Always"
        lasts = _seconds(pod, "run-seconds", float("inf") if forever else 0.5)
        if ran >= lasts and not forever:
            self._finish(api, pod, started)
            return None
        wait = _seconds(pod, "ready-seconds", 0.0)
        if ran >= wait:
            self._write(api, pod, {**pod["status"], **self._running(pod, ready=True)})
        coming = [seconds - ran for seconds in (wait, lasts) if ran < seconds < float("inf")]
        return min(coming, default=None)

    def _start(self, api: Api, pod: Object, now: datetime) -> None:
        self._next += 1
        address = f"10.244.{self._next // 250 % 250}.{self._next % 250 + 2}"
        status = {
            **pod["status"],
            "phase": "Running",
            "startTime": timestamp(now),
            "podIP": address,
            "podIPs": [{"ip": address}],
            "hostIP": "127.0.0.1",
        }
        pod = {**pod, "status": status}
        record(api, pod, "Started", "Started simulated containers", "kubelet")
        self._write(api, pod, {**status, **self._running(pod, ready=False)})

    def _running(self, pod: Object, *, ready: bool) -> Object:
        word, reason = ("True", "") if ready else ("False", "ContainersNotReady")
        conditions = list(pod["status"].get("conditions") or ())
        for kind in ("PodReadyToStartContainers", "Initialized"):
            conditions = set_condition(conditions, kind, "True", "", "")
        for kind in ("Ready", "ContainersReady"):
            conditions = set_condition(
                conditions, kind, word, reason, "" if ready else "containers with unready status"
            )
        state = {"running": {"startedAt": pod["status"]["startTime"]}}
        return {
            "conditions": [self._plain(one) for one in conditions],
            "containerStatuses": [self._container(one, state, ready) for one in pod["spec"]["containers"]],
        }

    def _plain(self, condition: Object) -> Object:
        return {name: value for name, value in condition.items() if name != "lastUpdateTime" and value != ""}

    def _container(self, container: Object, state: Object, ready: bool) -> Object:
        return {
            "name": container["name"],
            "image": container["image"],
            "imageID": "",
            "containerID": "",
            "restartCount": 0,
            "ready": ready,
            "started": "running" in state,
            "state": state,
            "lastState": {},
        }

    def _finish(self, api: Api, pod: Object, started: datetime) -> None:
        code = int(_seconds(pod, "exit-code", 0))
        ended = {
            "exitCode": code,
            "reason": "Completed" if code == 0 else "Error",
            "startedAt": timestamp(started),
            "finishedAt": timestamp(),
        }
        conditions = list(pod["status"].get("conditions") or ())
        reason = "PodCompleted" if code == 0 else "PodFailed"
        for kind in ("Ready", "ContainersReady"):
            conditions = set_condition(conditions, kind, "False", reason, "")
        status = {
            **pod["status"],
            "phase": "Succeeded" if code == 0 else "Failed",
            "conditions": [self._plain(one) for one in conditions],
            "containerStatuses": [
                self._container(one, {"terminated": ended}, False) for one in pod["spec"]["containers"]
            ],
        }
        self._write(api, pod, status)

    def _end(self, api: Api, pod: Object, now: datetime) -> float | None:
        """A simulated process ends as soon as it is asked to."""
        if pod["metadata"].get("finalizers") and pod["status"].get("phase") in ("Pending", "Running"):
            pod_status = {**pod["status"], "phase": "Failed"}
            self._write(api, pod, pod_status)
        api.delete(built_in("pods"), *key_of(pod), {"gracePeriodSeconds": 0})
        found = api.find("pods", *key_of(pod))
        if (
            found is not None
            and found["status"].get("phase") not in ("Succeeded", "Failed")
            and not found["metadata"].get("finalizers")
        ):
            return 0.1
        return None

    def _write(self, api: Api, pod: Object, status: Object) -> None:
        api.update(built_in("pods"), *key_of(pod), {**pod, "metadata": {}, "status": status}, status=True)
