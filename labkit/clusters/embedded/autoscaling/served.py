"""`metrics.k8s.io` and `custom.metrics.k8s.io`: what `kubectl top` and others read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from labkit.clusters.embedded import errors, quantities
from labkit.clusters.embedded.api import Api, timestamp
from labkit.clusters.embedded.autoscaling.metrics import Metrics
from labkit.clusters.embedded.autoscaling.replicas import NoReplicas
from labkit.clusters.embedded.resources import Resource
from labkit.clusters.embedded.selectors import by_labels, labels_of
from labkit.clusters.embedded.usage import Amount, Used

Object = dict[str, Any]
CUSTOM = "custom.metrics.k8s.io"
_RESOURCE = "metrics.k8s.io/v1beta1"
_VERSIONS = ("v1beta2", "v1beta1")


class ServedMetrics:
    """Answers requests for metrics from what is known now; nothing of it is stored.

    Args:
        api: The cluster's objects.
        metrics: What is known.
    """

    def __init__(self, api: Api, metrics: Metrics) -> None:
        self._api = api
        self._metrics = metrics

    def answer(self, path: str, query: Mapping[str, str]) -> Object | None:
        """The answer to a GET; None if the path is about something else.

        Raises:
            ApiError: There is no such metric, or no such pod or node.
        """
        parts = path.strip("/").split("/")
        if parts[:1] != ["apis"] or len(parts) < 4:
            return None
        selector = query.get("labelSelector", "")
        if "/".join(parts[1:3]) == _RESOURCE:
            return self._resource(parts[3:], selector)
        if parts[1] == CUSTOM and parts[2] in _VERSIONS:
            return self._custom(parts[2], parts[3:], selector)
        return None

    def announce(self) -> None:
        """Have the discovery name the metrics that pods have now."""
        known = self._metrics.scraper.names()
        for name in sorted(known):
            for version in _VERSIONS:
                if self._api.resources.find(CUSTOM, version, f"pods/{name}") is None:
                    kind = "MetricValueList"
                    self._api.resources.add(Resource(CUSTOM, version, f"pods/{name}", kind, verbs=("get",)))

    def _resource(self, rest: list[str], selector: str) -> Object | None:
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2:
            namespace, rest = rest[1], rest[2:]
        kind, name = rest[0], rest[1] if len(rest) > 1 else ""
        if kind not in ("pods", "nodes") or len(rest) > 2:
            raise errors.no_such_path()
        fits = by_labels(selector)
        things = self._api.each(kind, namespace or None)
        entries = (self._pod if kind == "pods" else self._node)(
            one for one in things if (fits is None or fits(one)) and name in ("", one["metadata"]["name"])
        )
        found = list(entries)
        what = "PodMetrics" if kind == "pods" else "NodeMetrics"
        if name:
            if not found:
                raise errors.not_found(Resource("metrics.k8s.io", "v1beta1", kind, what), name)
            return {"kind": what, "apiVersion": _RESOURCE, **found[0]}
        return {"kind": f"{what}List", "apiVersion": _RESOURCE, "metadata": {}, "items": found}

    def _pod(self, pods: Iterator[Object]) -> Iterator[Object]:
        for pod in pods:
            used = self._metrics.usage.of_pod(pod["metadata"]["uid"])
            if used is not None:
                containers = [{"name": n, "usage": _usage(amount)} for n, amount in used.containers.items()]
                yield {**_head(pod, used), "containers": containers}

    def _node(self, nodes: Iterator[Object]) -> Iterator[Object]:
        for node in nodes:
            used = self._metrics.usage.of_node(node["metadata"]["name"])
            if used is not None:
                yield {**_head(node, used), "usage": _usage(used.total)}

    def _custom(self, version: str, rest: list[str], selector: str) -> Object | None:
        if len(rest) != 5 or rest[0] != "namespaces" or rest[2] != "pods":
            raise errors.no_such_path()
        _, namespace, _, name, metric = rest
        fits = by_labels(selector)
        pods = [
            pod
            for pod in self._api.each("pods", namespace)
            if (fits is None or fits(pod)) and name in ("*", pod["metadata"]["name"])
        ]
        try:
            values = self._metrics.custom(pods, metric)
        except NoReplicas as none:
            raise errors.ApiError(
                404,
                "NotFound",
                f"the server could not find the metric {metric} for pods {name if name != '*' else ''}".rstrip(),
            ) from none
        named = {"metricName": metric} if version == "v1beta1" else {"metric": {"name": metric}}
        items = [
            {
                "describedObject": {"kind": "Pod", "namespace": namespace, "name": pod, "apiVersion": "/v1"},
                **named,
                "timestamp": timestamp(one.at),
                "value": quantities.decimal(Decimal(one.value).scaleb(-3)),
            }
            for pod, one in values.items()
        ]
        return {
            "kind": "MetricValueList",
            "apiVersion": f"{CUSTOM}/{version}",
            "metadata": {},
            "items": items,
        }


def _head(thing: Object, used: Used) -> Object:
    metadata: Object = {"name": thing["metadata"]["name"], "creationTimestamp": timestamp(datetime.now(UTC))}
    if namespace := thing["metadata"].get("namespace"):
        metadata["namespace"] = namespace
    if labels := labels_of(thing):
        metadata["labels"] = dict(labels)
    return {"metadata": metadata, "timestamp": timestamp(used.at), "window": f"{used.window:g}s"}


def _usage(amount: Amount) -> Object:
    return {"cpu": f"{round(amount.cpu * 1e9)}n", "memory": f"{amount.memory // 1024}Ki"}
