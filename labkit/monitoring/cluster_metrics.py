"""A cluster's state as metrics, under the names of kube-state-metrics and cAdvisor where they have one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from labkit.clusters.embedded.quantities import parse as quantity
from labkit.monitoring.cluster_api import api_of, items

Sample = tuple[str, dict[str, str], float]


class ClusterMetrics:
    """Reads a cluster's objects and writes what they say of themselves.

    Args:
        kubeconfig: How to reach it.
    """

    def __init__(self, kubeconfig: Path) -> None:
        self._api = api_of(kubeconfig)

    def text(self) -> str:
        """The metrics in Prometheus' text format; empty if the cluster does not answer."""
        try:
            samples = [*self._deployments(), *self._pods(), *self._nodes(), *self._usage()]
        except (httpx.HTTPError, ValueError):
            return "workbook_cluster_up 0\n"
        return "".join(_line(*sample) for sample in [*samples, ("workbook_cluster_up", {}, 1.0)])

    def _list(self, path: str) -> list[dict[str, Any]]:
        return items(self._api, path)

    def _deployments(self) -> Iterator[Sample]:
        for each in self._list("/apis/apps/v1/deployments"):
            labels = {"namespace": each["metadata"]["namespace"], "deployment": each["metadata"]["name"]}
            yield "kube_deployment_spec_replicas", labels, each["spec"].get("replicas", 1)
            available = each.get("status", {}).get("availableReplicas", 0)
            yield "kube_deployment_status_replicas_available", labels, available

    def _pods(self) -> Iterator[Sample]:
        for each in self._list("/api/v1/pods"):
            labels = {"namespace": each["metadata"]["namespace"], "pod": each["metadata"]["name"]}
            status = each.get("status", {})
            conditions = {one["type"]: one["status"] for one in status.get("conditions", [])}
            yield "kube_pod_status_ready", labels, float(conditions.get("Ready") == "True")
            for container in status.get("containerStatuses", []):
                one = labels | {"container": container["name"]}
                yield "kube_pod_container_status_restarts_total", one, container["restartCount"]

    def _nodes(self) -> Iterator[Sample]:
        for each in self._list("/api/v1/nodes"):
            labels = {"node": each["metadata"]["name"]}
            yield "kube_node_spec_unschedulable", labels, float(each["spec"].get("unschedulable", False))

    def _usage(self) -> Iterator[Sample]:
        for each in self._list("/apis/metrics.k8s.io/v1beta1/pods"):
            labels = {"namespace": each["metadata"]["namespace"], "pod": each["metadata"]["name"]}
            for container in each["containers"]:
                one, usage = labels | {"container": container["name"]}, container["usage"]
                yield "workbook_container_cpu_cores", one, float(quantity(usage["cpu"]))
                yield "container_memory_working_set_bytes", one, float(quantity(usage["memory"]))


def _line(name: str, labels: dict[str, str], value: float) -> str:
    inside = ",".join(f"{key}={json.dumps(text)}" for key, text in labels.items())
    return f"{name}{{{inside}}} {float(value):g}\n"
