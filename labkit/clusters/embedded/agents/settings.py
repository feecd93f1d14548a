"""What a container finds in its environment: values, ConfigMaps, Secrets, the downward API, Services."""

from __future__ import annotations

import base64
import re
from decimal import ROUND_CEILING, Decimal
from typing import Any

from labkit.clusters.embedded import quantities
from labkit.clusters.embedded.api import Api

Object = dict[str, Any]
_REFERENCE = re.compile(r"\$(\$|\(([^)\s]+)\))")
_SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['([^']*)'\]$")


class Lacking(Exception):
    """Something that a container asks for is not there (yet); the message is Kubernetes' own."""


def keys_of(api: Api, kind: str, namespace: str, name: str, *, optional: bool = False) -> dict[str, bytes]:
    """What a ConfigMap or a Secret holds.

    Args:
        api: The cluster's objects.
        kind: `configmap` or `secret`.
        namespace: Its namespace.
        name: Its name.
        optional: Whether it may be missing.

    Raises:
        Lacking: It is missing.
    """
    found = api.find(f"{kind}s", namespace, name)
    if found is None:
        if optional:
            return {}
        raise Lacking(f'{kind} "{name}" not found')
    plain, coded = found.get("data") or {}, found.get("binaryData") or {}
    if kind == "secret":
        plain, coded = {}, plain
    texts = {key: value.encode() for key, value in plain.items()}
    return {**texts, **{key: base64.b64decode(value) for key, value in coded.items()}}


def field_of(pod: Object, path: str) -> str:
    """A field of a pod as the downward API gives it.

    Raises:
        Lacking: It is not one of those that are given.
    """
    metadata, spec, status = pod["metadata"], pod["spec"], pod.get("status", {})
    if match := _SUBSCRIPT.match(path):
        return str((metadata.get(match[1]) or {}).get(match[2], ""))
    if path in ("metadata.labels", "metadata.annotations"):
        pairs = (metadata.get(path.partition(".")[2]) or {}).items()
        return "\n".join(f'{key}="{_escaped(value)}"' for key, value in sorted(pairs))
    known = {
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata["namespace"],
        "metadata.uid": metadata["uid"],
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", ""),
        "status.hostIP": status.get("hostIP", ""),
        "status.podIP": status.get("podIP", ""),
        "status.podIPs": status.get("podIP", ""),
    }
    if path not in known:
        raise Lacking(f"unsupported fieldPath: {path}")
    return str(known[path])


def resource_of(pod: Object, container: Object, reference: Object, allocatable: Object) -> str:
    """A request or limit as the downward API gives it: a whole number of the divisor; a missing limit is the node's."""
    named = reference.get("containerName")
    if named:
        everyone = [*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"]]
        container = next((one for one in everyone if one["name"] == named), container)
    kind, _, name = reference["resource"].partition(".")
    amounts = (container.get("resources") or {}).get(kind) or {}
    amount = quantities.parse(amounts.get(name) or (allocatable.get(name, "0") if kind == "limits" else "0"))
    divisor = quantities.parse(reference.get("divisor") or "1") or Decimal(1)
    return str(int((amount / divisor).to_integral_value(ROUND_CEILING)))


def environment(api: Api, pod: Object, container: Object, allocatable: Object) -> dict[str, str]:
    """All variables of a container, in the order in which Kubernetes lays them over each other.

    Raises:
        Lacking: One asks for something that is not there.
    """
    namespace = pod["metadata"]["namespace"]
    found = _of_services(api, pod)
    for source in container.get("envFrom") or ():
        for kind in ("configMap", "secret"):
            if (reference := source.get(f"{kind}Ref")) is None:
                continue
            optional = bool(reference.get("optional"))
            held = keys_of(api, kind.lower(), namespace, reference.get("name", ""), optional=optional)
            prefix = source.get("prefix", "")
            found.update({f"{prefix}{key}": value.decode(errors="replace") for key, value in held.items()})
    own: dict[str, str] = {}
    for variable in container.get("env") or ():
        value = _value(api, pod, container, variable, allocatable)
        if value is not None:
            own[variable["name"]] = expanded(value, {**found, **own}) if "value" in variable else value
    return {**found, **own}


def expanded(text: str, variables: dict[str, str]) -> str:
    """A text with `$(NAME)` replaced where there is such a variable; `$$` is a dollar."""

    def one(match: re.Match[str]) -> str:
        if match[1] == "$":
            return "$"
        return variables.get(match[2], match[0])

    return _REFERENCE.sub(one, text)


def _value(api: Api, pod: Object, container: Object, variable: Object, allocatable: Object) -> str | None:
    source = variable.get("valueFrom")
    if not source:
        return str(variable.get("value", ""))
    if reference := source.get("fieldRef"):
        return field_of(pod, reference["fieldPath"])
    if reference := source.get("resourceFieldRef"):
        return resource_of(pod, container, reference, allocatable)
    kind = "configMap" if "configMapKeyRef" in source else "secret"
    reference = source.get(f"{kind}KeyRef") or {}
    namespace, name, key = pod["metadata"]["namespace"], reference.get("name", ""), reference.get("key", "")
    optional = bool(reference.get("optional"))
    held = keys_of(api, kind.lower(), namespace, name, optional=optional)
    if key not in held:
        if optional:
            return None
        shown = {"configMap": "ConfigMap", "secret": "Secret"}[kind]
        raise Lacking(f"couldn't find key {key} in {shown} {namespace}/{name}")
    return held[key].decode(errors="replace")


def _of_services(api: Api, pod: Object) -> dict[str, str]:
    if not pod["spec"].get("enableServiceLinks", True):
        return {}
    found = {}
    for service in api.each("services", pod["metadata"]["namespace"]):
        address = service["spec"].get("clusterIP")
        ports = service["spec"].get("ports") or ()
        if not address or address == "None" or not ports:
            continue
        name = re.sub(r"[^A-Z0-9]", "_", service["metadata"]["name"].upper())
        found[f"{name}_SERVICE_HOST"] = address
        found[f"{name}_SERVICE_PORT"] = str(ports[0]["port"])
        for port in ports:
            if port.get("name"):
                label = re.sub(r"[^A-Z0-9]", "_", port["name"].upper())
                found[f"{name}_SERVICE_PORT_{label}"] = str(port["port"])
    return found


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
