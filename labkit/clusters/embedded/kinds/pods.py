"""Pods: what is filled in and what is refused, for themselves and in the templates of others."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from labkit.clusters.embedded import quantities
from labkit.clusters.embedded.errors import Cause, invalid, required, unsupported
from labkit.clusters.embedded.kinds.base import (
    Object,
    Rules,
    label_causes,
    name_causes,
    port_cause,
)

NATIVE = ("cpu", "memory", "ephemeral-storage")
_RESTART = ("Always", "OnFailure", "Never")
_MUTABLE = ("image",)
_UPDATES = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)
_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc")


def containers_of(spec: Object) -> Iterator[tuple[str, int, Object]]:
    """Every container with the field that it stands in and its place there; init containers first."""
    for field in ("initContainers", "containers"):
        for i, container in enumerate(spec.get(field) or ()):
            yield field, i, container


def fill_in(spec: Object) -> None:
    """What depends on other fields of a pod's spec."""
    for _, _, container in containers_of(spec):
        if "imagePullPolicy" not in container:
            tag = str(container.get("image", "")).rsplit("/", 1)[-1].partition(":")[2]
            latest = not tag or tag == "latest"
            container["imagePullPolicy"] = (
                "Always" if latest and "@" not in str(container.get("image")) else "IfNotPresent"
            )
        probe = container.get("livenessProbe")
        if probe is not None:
            probe.setdefault("successThreshold", 1)
    for volume in spec.get("volumes") or ():
        if set(volume) == {"name"}:
            volume["emptyDir"] = {}


def _prepare(thing: Object, old: Object | None) -> None:
    spec = thing.setdefault("spec", {})
    fill_in(spec)
    for _, _, container in containers_of(spec):
        resources = container.get("resources") or {}
        for name, limit in (resources.get("limits") or {}).items():
            resources.setdefault("requests", {}).setdefault(name, limit)
    if old is not None:
        return
    spec.setdefault("serviceAccountName", "default")
    spec.setdefault("serviceAccount", spec["serviceAccountName"])
    spec.setdefault("enableServiceLinks", True)
    spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
    spec.setdefault("priority", 0)
    tolerations = spec.setdefault("tolerations", [])
    for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"):
        if not any(
            one.get("key") in (key, None, "") and one.get("operator") == "Exists" for one in tolerations
        ):
            tolerations.append(
                {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
            )
    thing["status"] = {"phase": "Pending", "qosClass": quality(spec)}


def quality(spec: Object) -> str:
    """The pod's class of service."""
    seen, guaranteed = False, True
    for _, _, container in containers_of(spec):
        resources = container.get("resources") or {}
        requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
        seen = seen or any(name in requests or name in limits for name in ("cpu", "memory"))
        for name in ("cpu", "memory"):
            if name not in limits or requests.get(name, limits[name]) != limits[name]:
                guaranteed = False
    if not seen:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def spec_causes(spec: Object, path: str) -> Iterator[Cause]:
    """What is not valid in a pod's spec."""
    names: set[str] = set()
    volumes = {volume.get("name") for volume in spec.get("volumes") or ()}
    for field, i, container in containers_of(spec):
        where = f"{path}.{field}[{i}]"
        name = container.get("name")
        if name in names:
            yield Cause("Duplicate", f"{where}.name", value=name)
        elif name:
            yield from name_causes(f"{where}.name", name, "label")
        names.add(str(name))
        yield from _container_causes(container, where, volumes)
    seen: set[Any] = set()
    for i, volume in enumerate(spec.get("volumes") or ()):
        if volume.get("name") in seen:
            yield Cause("Duplicate", f"{path}.volumes[{i}].name", value=volume["name"])
        elif volume.get("name"):
            yield from name_causes(f"{path}.volumes[{i}].name", volume["name"], "label")
        seen.add(volume.get("name"))
        if len(volume) > 2:
            yield Cause("Forbidden", f"{path}.volumes[{i}]", "may not specify more than 1 volume type")
    if spec.get("restartPolicy") not in (None, *_RESTART):
        yield unsupported(f"{path}.restartPolicy", spec["restartPolicy"], _RESTART)
    yield from label_causes(f"{path}.nodeSelector", spec.get("nodeSelector"))
    for i, toleration in enumerate(spec.get("tolerations") or ()):
        yield from _toleration_causes(toleration, f"{path}.tolerations[{i}]")
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and deadline < 1:
        yield invalid(
            f"{path}.activeDeadlineSeconds", deadline, "must be between 1 and 2147483647, inclusive"
        )


def _toleration_causes(toleration: Object, where: str) -> Iterator[Cause]:
    operator = toleration.get("operator") or "Equal"
    if operator not in ("Equal", "Exists"):
        yield unsupported(f"{where}.operator", operator, ("Equal", "Exists"))
    elif operator == "Exists" and toleration.get("value"):
        why = "value must be empty when `operator` is 'Exists'"
        yield invalid(f"{where}.operator", toleration["value"], why)
    elif operator == "Equal" and not toleration.get("key"):
        why = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
        yield invalid(f"{where}.operator", operator, why)


def _container_causes(container: Object, where: str, volumes: set[Any]) -> Iterator[Cause]:
    image = container.get("image")
    if not image:
        yield required(f"{where}.image")
    elif image != image.strip():
        yield invalid(f"{where}.image", image, "must not have leading or trailing whitespace")
    if container.get("imagePullPolicy") not in (None, "Always", "IfNotPresent", "Never"):
        yield unsupported(
            f"{where}.imagePullPolicy", container["imagePullPolicy"], ("Always", "IfNotPresent", "Never")
        )
    yield from _port_causes(container, where)
    for i, one in enumerate(container.get("env") or ()):
        if one.get("name") and not re.fullmatch(r"[^=\x00-\x1f\x7f]+", one["name"]):
            yield invalid(
                f"{where}.env[{i}].name",
                one["name"],
                "a valid environment variable name must consist only of printable ASCII characters other than '='",
            )
        if one.get("value") and one.get("valueFrom"):
            yield invalid(f"{where}.env[{i}].valueFrom", "", "may not be specified when `value` is not empty")
    for i, mount in enumerate(container.get("volumeMounts") or ()):
        if mount.get("name") and mount["name"] not in volumes:
            yield Cause("NotFound", f"{where}.volumeMounts[{i}].name", value=mount["name"])
        if ":" in (place := str(mount.get("mountPath") or "")):
            yield invalid(f"{where}.volumeMounts[{i}].mountPath", place, "must not contain ':'")
    yield from resource_causes(container.get("resources") or {}, f"{where}.resources")
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        yield from _probe_causes(container.get(probe), f"{where}.{probe}", probe)


def _port_causes(container: Object, where: str) -> Iterator[Cause]:
    seen = set()
    for i, port in enumerate(container.get("ports") or ()):
        yield from port_cause(f"{where}.ports[{i}].containerPort", port.get("containerPort"))
        if port.get("protocol") not in (None, "TCP", "UDP", "SCTP"):
            yield unsupported(f"{where}.ports[{i}].protocol", port["protocol"], ("SCTP", "TCP", "UDP"))
        name = port.get("name")
        if name and not (
            re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?", name)
            and re.search("[a-z]", name)
            and "--" not in name
        ):
            words = (
                "must be no more than 15 characters"
                if len(name) > 15
                else "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"
            )
            yield invalid(f"{where}.ports[{i}].name", name, words)
        if name and name in seen:
            yield Cause("Duplicate", f"{where}.ports[{i}].name", value=name)
        seen.add(name)


def resource_causes(resources: Object, path: str) -> Iterator[Cause]:
    """What is not valid in requests and limits."""
    requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
    for field, given in (("limits", limits), ("requests", requests)):
        for name, amount in given.items():
            where = f"{path}.{field}[{name}]"
            if "/" not in name and name not in NATIVE and not name.startswith("hugepages-"):
                yield invalid(where, name, "must be a standard resource type or fully qualified")
                yield invalid(where, name, "must be a standard resource for containers")
                continue
            value = quantities.parse(amount)
            if value < 0:
                yield invalid(where, amount, "must be greater than or equal to 0")
            elif "/" in name and value != value.to_integral_value():
                yield invalid(where, amount, "must be an integer")
    for name, amount in requests.items():
        if name not in limits:
            if "/" in name:
                yield required(f"{path}.limits", "Limit must be set for non overcommitable resources")
            continue
        wanted, most = quantities.parse(amount), quantities.parse(limits[name])
        if "/" in name and wanted != most:
            yield invalid(f"{path}.requests", amount, f"must be equal to {name} limit of {limits[name]}")
        elif wanted > most:
            yield invalid(
                f"{path}.requests", amount, f"must be less than or equal to {name} limit of {limits[name]}"
            )


def _probe_causes(probe: Object | None, path: str, kind: str) -> Iterator[Cause]:
    if probe is None:
        return
    handlers = [name for name in _HANDLERS if name in probe]
    if not handlers:
        yield required(path, "must specify a handler type")
    for name in handlers[1:]:
        yield Cause("Forbidden", f"{path}.{name}", "may not specify more than 1 handler type")
    for name in ("httpGet", "tcpSocket", "grpc"):
        if name in probe:
            yield from port_cause(f"{path}.{name}.port", probe[name].get("port"))
    if kind != "readinessProbe" and probe.get("successThreshold", 1) != 1:
        yield invalid(f"{path}.successThreshold", probe["successThreshold"], "must be 1")
    for name in (
        "initialDelaySeconds",
        "timeoutSeconds",
        "periodSeconds",
        "successThreshold",
        "failureThreshold",
    ):
        if probe.get(name, 0) < 0:
            yield invalid(f"{path}.{name}", probe[name], "must be greater than or equal to 0")


def template_causes(template: Object, path: str) -> Iterator[Cause]:
    """What is not valid in a template."""
    yield from label_causes(f"{path}.metadata.labels", (template.get("metadata") or {}).get("labels"))
    yield from spec_causes(template.get("spec") or {}, f"{path}.spec")


def _check(thing: Object, old: Object | None) -> Iterator[Cause]:
    spec = thing["spec"]
    yield from spec_causes(spec, "spec")
    if old is None:
        return
    if _fixed(spec) != _fixed(old["spec"]):
        yield Cause("Forbidden", "spec", _UPDATES)


def _fixed(spec: Object) -> Object:
    """The part of a pod's spec that may not change."""
    kept = {name: part for name, part in spec.items() if name not in ("activeDeadlineSeconds", "tolerations")}
    for field in ("containers", "initContainers"):
        if field in spec:
            kept[field] = [{n: v for n, v in one.items() if n not in _MUTABLE} for one in spec[field]]
    return kept


RULES = {"pods": Rules(prepare=_prepare, check=_check, generation=True)}
