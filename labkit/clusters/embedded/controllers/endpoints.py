"""Endpoints and EndpointSlices: where a Service's ready pods answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from labkit.clusters.embedded.api import Api
from labkit.clusters.embedded.controllers.base import Key, key_of, ready, reference
from labkit.clusters.embedded.resources import built_in
from labkit.clusters.embedded.selectors import labels_of, matches
from labkit.clusters.embedded.store import Change

Object = dict[str, Any]
SLICES = "endpointslices.discovery.k8s.io"


def port_of(pod: Object, target: Any) -> int | None:
    """The number of a port that a Service names."""
    if isinstance(target, int):
        return target
    for container in pod["spec"].get("containers") or ():
        for port in container.get("ports") or ():
            if port.get("name") == target:
                return int(port["containerPort"])
    return None


class Endpoints:
    """Keeps endpoints as the pods are."""

    def concerned(self, api: Api, change: Change) -> Iterable[Key]:
        """Services, and those that select a pod that changes."""
        if change.resource == "services":
            return [key_of(change.now.object)]
        if change.resource != "pods":
            return []
        pod = change.now.object
        labels = [labels_of(one.object) for one in (change.now, change.before) if one]
        return [
            key_of(service)
            for service in api.each("services", pod["metadata"]["namespace"])
            if (chosen := service["spec"].get("selector"))
            and any(matches({"matchLabels": chosen}, one) for one in labels)
        ]

    def reconcile(self, api: Api, namespace: str, name: str) -> float | None:
        """Write a Service's endpoints; take them away with it."""
        service = api.find("services", namespace, name)
        if service is None:
            if api.find("endpoints", namespace, name):
                api.delete(built_in("endpoints"), namespace, name)
            return None
        chosen = service["spec"].get("selector")
        if not chosen:
            return None
        pods = [
            pod
            for pod in api.each("pods", namespace)
            if matches({"matchLabels": chosen}, labels_of(pod)) and pod.get("status", {}).get("podIP")
            and pod["status"].get("phase") == "Running"
        ]  # fmt: skip
        pods.sort(key=lambda pod: str(pod["status"]["podIP"]))
        self._keep(api, "endpoints", namespace, name, {"subsets": self._subsets(service, pods)}, service, {})
        ports = service["spec"].get("ports") or []
        shown = [
            {
                "name": p.get("name", ""),
                "protocol": p.get("protocol", "TCP"),
                "port": port_of(pods[0], p["targetPort"]) if pods else None,
            }
            for p in ports
        ]
        parts = {
            "addressType": "IPv4",
            "ports": [{n: v for n, v in one.items() if v is not None} for one in shown],
            "endpoints": [self._endpoint(pod, service) for pod in pods],
        }
        labels = {
            "kubernetes.io/service-name": name,
            "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        }
        self._keep(api, SLICES, namespace, f"{name}-{service['metadata']['uid'][:5]}", parts, service, labels)
        return None

    def _subsets(self, service: Object, pods: list[Object]) -> list[Object]:
        def address(pod: Object) -> Object:
            metadata = pod["metadata"]
            target = {
                "kind": "Pod",
                "name": metadata["name"],
                "namespace": metadata["namespace"],
                "uid": metadata["uid"],
            }
            return {
                "ip": pod["status"]["podIP"],
                "nodeName": pod["spec"].get("nodeName"),
                "targetRef": target,
            }

        serving = [address(pod) for pod in pods if self._serves(pod, service)]
        others = [
            address(pod) for pod in pods if not ready(pod) and "deletionTimestamp" not in pod["metadata"]
        ]
        ports = [
            {
                **({"name": p["name"]} if p.get("name") else {}),
                "port": number,
                "protocol": p.get("protocol", "TCP"),
            }
            for p in service["spec"].get("ports") or ()
            if pods and (number := port_of(pods[0], p["targetPort"])) is not None
        ]
        subset = {
            **({"addresses": serving} if serving else {}),
            **({"notReadyAddresses": others} if others else {}),
            "ports": ports,
        }
        return [subset] if serving or others else []

    def _serves(self, pod: Object, service: Object) -> bool:
        return bool(service["spec"].get("publishNotReadyAddresses")) or (
            ready(pod) and "deletionTimestamp" not in pod["metadata"]
        )

    def _endpoint(self, pod: Object, service: Object) -> Object:
        metadata, spec = pod["metadata"], pod["spec"]
        ending = "deletionTimestamp" in metadata
        named = spec.get("hostname") and spec.get("subdomain") == service["metadata"]["name"]
        return {
            **({"hostname": spec["hostname"]} if named else {}),
            "addresses": [pod["status"]["podIP"]],
            "conditions": {"ready": self._serves(pod, service), "serving": ready(pod), "terminating": ending},
            "nodeName": pod["spec"].get("nodeName"),
            "targetRef": {
                "kind": "Pod",
                "name": metadata["name"],
                "namespace": metadata["namespace"],
                "uid": metadata["uid"],
            },
        }

    def _keep(
        self, api: Api, key: str, namespace: str, name: str, parts: Object, service: Object, labels: Object
    ) -> None:
        resource, found = built_in(key), api.find(key, namespace, name)
        if found is None:
            metadata: Object = {"name": name, "labels": {**labels_of(service), **labels}}
            if key == SLICES:
                metadata["ownerReferences"] = [reference(service)]
            api.create(resource, namespace, {"metadata": metadata, **parts})
        elif any(found.get(field) != part for field, part in parts.items()):
            api.update(
                resource,
                namespace,
                name,
                {**found, **parts, "metadata": {**found["metadata"], "resourceVersion": None}},
            )
