"""Services, their endpoints and endpoint slices."""

from __future__ import annotations

import re
from collections.abc import Iterator

from labkit.clusters.embedded.errors import Cause, invalid, required, unsupported
from labkit.clusters.embedded.kinds.base import Object, Rules, label_causes, port_cause

_TYPES = ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName")


def _prepare(thing: Object, old: Object | None) -> None:
    spec = thing["spec"]
    for port in spec.get("ports") or ():
        port.setdefault("targetPort", port.get("port"))
    if spec["type"] != "ExternalName":
        spec.setdefault("ipFamilies", ["IPv4"])
        spec.setdefault("ipFamilyPolicy", "SingleStack")
    if spec["type"] in ("NodePort", "LoadBalancer"):
        spec.setdefault("externalTrafficPolicy", "Cluster")
    if old is None:
        thing["status"] = {"loadBalancer": {}}
    elif "clusterIP" in old["spec"] and spec["type"] != "ExternalName":
        # An update that leaves the addresses out keeps them.
        spec.setdefault("clusterIP", old["spec"]["clusterIP"])
        spec.setdefault("clusterIPs", old["spec"].get("clusterIPs"))
    if spec.get("clusterIP") == "None":
        spec["clusterIPs"] = ["None"]


def _check(thing: Object, old: Object | None) -> Iterator[Cause]:
    spec = thing["spec"]
    ports = spec.get("ports") or []
    if spec["type"] not in _TYPES:
        yield unsupported("spec.type", spec["type"], _TYPES)
    if spec["type"] == "ExternalName" and not spec.get("externalName"):
        yield required("spec.externalName")
    if not ports and spec.get("clusterIP") != "None" and spec["type"] != "ExternalName":
        yield required("spec.ports")
    names: set[str] = set()
    for i, port in enumerate(ports):
        where = f"spec.ports[{i}]"
        yield from port_cause(f"{where}.port", port.get("port"))
        yield from port_cause(f"{where}.targetPort", port.get("targetPort"))
        name = port.get("name", "")
        if not name and len(ports) > 1:
            yield required(f"{where}.name")
        elif name and not re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", name):
            yield invalid(f"{where}.name", name, "must be a DNS-1123 label")
        elif name in names:
            yield Cause("Duplicate", f"{where}.name", value=name)
        names.add(name)
        if port.get("protocol") not in (None, "TCP", "UDP", "SCTP"):
            yield unsupported(f"{where}.protocol", port["protocol"], ("SCTP", "TCP", "UDP"))
    yield from label_causes("spec.selector", spec.get("selector"))
    if spec["sessionAffinity"] not in ("None", "ClientIP"):
        yield unsupported("spec.sessionAffinity", spec["sessionAffinity"], ("ClientIP", "None"))
    before = (old or {}).get("spec", {}).get("clusterIP")
    if before and spec.get("clusterIP") != before and spec["type"] != "ExternalName":
        yield invalid("spec.clusterIPs[0]", [spec.get("clusterIP")], "may not change once set")


RULES = {
    "services": Rules(_prepare, _check, names="label-1035"),
    "endpoints": Rules(),
    "endpointslices.discovery.k8s.io": Rules(generation=True),
}
