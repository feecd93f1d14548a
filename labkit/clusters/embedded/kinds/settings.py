"""The smaller kinds: namespaces, nodes, configuration, claims, autoscalers, disruption budgets, definitions."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Any

from labkit.clusters.embedded.errors import Cause, invalid, required, unsupported
from labkit.clusters.embedded.kinds.base import Object, Rules, immutable, not_negative, selector_causes

MOST = 1048576
"""Bytes that a ConfigMap or Secret may hold."""
_KEY = re.compile(r"[-._a-zA-Z0-9]+")
_KEY_WORDS = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or "
    "'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)


def _prepare_namespace(thing: Object, old: Object | None) -> None:
    if old is None:
        thing["spec"] = {"finalizers": ["kubernetes"]}
        thing["status"] = {"phase": "Active"}
        labels = thing["metadata"].setdefault("labels", {})
        labels["kubernetes.io/metadata.name"] = thing["metadata"].get("name", "")


def _prepare_secret(thing: Object, old: Object | None) -> None:
    given = thing.pop("stringData", None) or {}
    if given:
        encoded = {name: base64.b64encode(str(text).encode()).decode() for name, text in given.items()}
        thing["data"] = {**(thing.get("data") or {}), **encoded}


def _check_data(thing: Object, old: Object | None) -> Iterator[Cause]:
    data = {**(thing.get("data") or {}), **(thing.get("binaryData") or {})}
    for name in data:
        if not _KEY.fullmatch(name):
            yield invalid(f"data[{name}]", name, _KEY_WORDS)
    if sum(len(str(value)) for value in data.values()) > MOST:
        yield Cause("TooLong", "", f"may not be more than {MOST} bytes")
    if old is not None and old.get("immutable") and thing.get("data") != old.get("data"):
        yield Cause("Forbidden", "data", "field is immutable when `immutable` is set")


def _check_secret(thing: Object, old: Object | None) -> Iterator[Cause]:
    yield from _check_data(thing, old)
    if old is not None:
        yield from immutable("type", thing.get("type"), old.get("type"))


def _prepare_claim(thing: Object, old: Object | None) -> None:
    if old is None:
        thing["status"] = {"phase": "Pending"}


def _check_claim(thing: Object, old: Object | None) -> Iterator[Cause]:
    spec = thing["spec"]
    if not spec.get("accessModes"):
        yield required("spec.accessModes", "at least 1 access mode is required")
    for mode in spec.get("accessModes") or ():
        known = ("ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod")
        if mode not in known:
            yield unsupported("spec.accessModes", mode, known)
    if not ((spec.get("resources") or {}).get("requests") or {}).get("storage"):
        yield required("spec.resources[storage]")


def _prepare_autoscaler(thing: Object, old: Object | None) -> None:
    spec = thing["spec"]
    if not spec.get("metrics"):
        target = {"type": "Utilization", "averageUtilization": 80}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    behavior = spec.get("behavior")
    if behavior is None:
        return
    up = behavior.setdefault("scaleUp", {})
    up.setdefault("stabilizationWindowSeconds", 0)
    up.setdefault("selectPolicy", "Max")
    up.setdefault("policies", [
        {"type": "Pods", "value": 4, "periodSeconds": 15}, {"type": "Percent", "value": 100, "periodSeconds": 15},
    ])  # fmt: skip
    down = behavior.setdefault("scaleDown", {})
    down.setdefault("selectPolicy", "Max")
    down.setdefault("policies", [{"type": "Percent", "value": 100, "periodSeconds": 15}])


def _check_autoscaler(thing: Object, old: Object | None) -> Iterator[Cause]:
    spec = thing["spec"]
    least, most = spec.get("minReplicas", 1), spec.get("maxReplicas") or 0
    if least < 1:
        yield invalid("spec.minReplicas", least, "must be greater than or equal to 1")
    if most < 1:
        yield invalid("spec.maxReplicas", most, "must be greater than 0")
    elif most < least:
        yield invalid("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`")
    for i, metric in enumerate(spec.get("metrics") or ()):
        yield from _metric_causes(metric, f"spec.metrics[{i}]")


def _metric_causes(metric: Object, where: str) -> Iterator[Cause]:
    kinds = {"Resource": "resource", "Pods": "pods", "Object": "object", "External": "external",
             "ContainerResource": "containerResource"}  # fmt: skip
    kind = metric.get("type")
    if kind not in kinds:
        yield unsupported(f"{where}.type", kind, tuple(kinds))
        return
    source = metric.get(kinds[kind])
    if source is None:
        yield required(f"{where}.{kinds[kind]}", "must populate information for the given metric source")
        return
    target: Any = source.get("target") or {}
    values = [
        name for name in ("averageUtilization", "averageValue", "value") if target.get(name) is not None
    ]
    if not values:
        yield required(
            f"{where}.{kinds[kind]}.target.averageUtilization",
            "must set either a target raw value or a target utilization",
        )
    if (target.get("averageUtilization") or 1) < 1:
        yield invalid(
            f"{where}.{kinds[kind]}.target.averageUtilization",
            target["averageUtilization"],
            "must be greater than 0",
        )


def _check_budget(thing: Object, old: Object | None) -> Iterator[Cause]:
    spec = thing.get("spec") or {}
    if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
        yield invalid("spec", spec, "minAvailable and maxUnavailable cannot be both set")
    for field in ("minAvailable", "maxUnavailable"):
        yield from not_negative(f"spec.{field}", spec.get(field))
    yield from selector_causes("spec.selector", spec.get("selector"))


def _check_definition(thing: Object, old: Object | None) -> Iterator[Cause]:
    spec = thing["spec"]
    names, group = spec.get("names") or {}, spec.get("group")
    wanted = f"{names.get('plural')}.{group}"
    if thing["metadata"].get("name") != wanted:
        yield invalid(
            "metadata.name", thing["metadata"].get("name"), 'must be spec.names.plural+"."+spec.group'
        )
    if spec.get("scope") not in ("Namespaced", "Cluster"):
        yield unsupported("spec.scope", spec.get("scope"), ("Cluster", "Namespaced"))
    if sum(bool(version.get("storage")) for version in spec.get("versions") or ()) != 1:
        yield invalid(
            "spec.versions",
            [v.get("name") for v in spec.get("versions") or ()],
            "must have exactly one version marked as storage version",
        )
    for i, version in enumerate(spec.get("versions") or ()):
        if not (version.get("schema") or {}).get("openAPIV3Schema"):
            yield required(f"spec.versions[{i}].schema.openAPIV3Schema", "schemas are required")


def _prepare_definition(thing: Object, old: Object | None) -> None:
    names = thing["spec"].get("names") or {}
    if names.get("kind"):
        names.setdefault("singular", names["kind"].lower())
        names.setdefault("listKind", f"{names['kind']}List")
    thing["spec"].setdefault("conversion", {"strategy": "None"})
    if old is None:
        thing["status"] = {"conditions": [], "acceptedNames": {}, "storedVersions": []}


RULES = {
    "namespaces": Rules(_prepare_namespace, names="label"),
    "nodes": Rules(),
    "configmaps": Rules(check=_check_data),
    "secrets": Rules(_prepare_secret, _check_secret),
    "serviceaccounts": Rules(),
    "persistentvolumeclaims": Rules(_prepare_claim, _check_claim),
    "events": Rules(),
    "horizontalpodautoscalers.autoscaling": Rules(_prepare_autoscaler, _check_autoscaler),
    "poddisruptionbudgets.policy": Rules(check=_check_budget, generation=True),
    "customresourcedefinitions.apiextensions.k8s.io": Rules(
        _prepare_definition, _check_definition, generation=True
    ),
}
