"""Label and field selectors, as in `-l app=web,tier!=test` and `--field-selector status.phase=Running`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from labkit.clusters.embedded.errors import bad_request

Test = Callable[[Mapping[str, Any]], bool]
_SET = re.compile(r"^(!?)\s*([\w./-]+)\s*(?:(==|=|!=|>|<)\s*([\w.-]*)|\s(in|notin)\s*\(([^)]*)\))?$")
_FIELDS = {
    "pods": ("spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName",
             "status.phase", "status.podIP", "status.nominatedNodeName"),
    "nodes": ("spec.unschedulable",),
    "events": ("involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid",
               "involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath",
               "reason", "reportingComponent", "source", "type"),
    "namespaces": ("status.phase",),
    "secrets": ("type",),
    "replicasets.apps": ("status.replicas",),
    "jobs.batch": ("status.successful",),
}  # fmt: skip


def by_labels(text: str) -> Test | None:
    """What a label selector in a request means, on an object; None if it asks for nothing.

    Raises:
        ApiError: It can't be read.
    """
    tests = []
    for part in filter(None, (one.strip() for one in re.split(r",(?![^(]*\))", text))):
        match = _SET.match(part)
        if match is None:
            raise bad_request(f"unable to parse requirement: found '{part}', expected: ',' or a requirement")
        negated, key, sign, value, word, values = match.groups()
        tests.append(_label_test(bool(negated), key, sign or word, value, values))
    if not tests:
        return None
    return lambda thing: all(test(labels_of(thing)) for test in tests)


def _label_test(negated: bool, key: str, sign: str | None, value: str | None, values: str | None) -> Test:
    several = {one.strip() for one in (values or "").split(",")}
    match sign:
        case "=" | "==":
            return lambda labels: labels.get(key) == value
        case "!=":
            return lambda labels: labels.get(key) != value
        case "in":
            return lambda labels: labels.get(key) in several
        case "notin":
            return lambda labels: labels.get(key) not in several
        case ">" | "<":
            return lambda labels: _greater(labels.get(key), value, sign)
        case _:
            return lambda labels: (key in labels) != negated


def _greater(found: Any, value: str | None, sign: str) -> bool:
    try:
        return int(found) > int(value or "") if sign == ">" else int(found) < int(value or "")
    except (TypeError, ValueError):
        return False


def by_fields(resource: str, text: str) -> Test | None:
    """What a field selector means.

    Raises:
        ApiError: It names a field that can't be selected by.
    """
    tests: list[Test] = []
    for part in filter(None, text.split(",")):
        match = re.match(r"^([\w.]+)\s*(==|=|!=)\s*(.*)$", part.strip())
        if match is None:
            raise bad_request(f"invalid selector: '{part}'; can't understand '{part}'")
        path, sign, value = match.groups()
        if path not in ("metadata.name", "metadata.namespace", *_FIELDS.get(resource, ())):
            if resource in _FIELDS:
                raise bad_request(f"field label not supported: {path}")
            raise bad_request(
                f'"{path}" is not a known field selector: only "metadata.name", "metadata.namespace"'
            )
        tests.append(_field_test(path.split("."), sign != "!=", value))
    return (lambda thing: all(test(thing) for test in tests)) if tests else None


def _field_test(path: list[str], equal: bool, value: str) -> Test:
    def test(thing: Mapping[str, Any]) -> bool:
        found: Any = thing
        for name in path:
            found = found.get(name) if isinstance(found, Mapping) else None
        shown = "" if found is None else str(found).lower() if isinstance(found, bool) else str(found)
        if path[-1] == "unschedulable" and not shown:
            shown = "false"
        return (shown == value) == equal

    return test


def labels_of(thing: Mapping[str, Any]) -> Mapping[str, str]:
    """An object's labels."""
    return thing.get("metadata", {}).get("labels") or {}


def matches(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Whether a selector in an object (matchLabels, matchExpressions) fits; None fits nothing, {} everything."""
    if selector is None:
        return False
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(expression_matches(one, labels) for one in selector.get("matchExpressions") or ())


def expression_matches(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether one of matchExpressions fits."""
    key, values = expression["key"], expression.get("values") or []
    match expression["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case "Gt" | "Lt" as operator:
            return _greater(labels.get(key), values[0] if values else None, ">" if operator == "Gt" else "<")
        case _:
            return False


def written(selector: Mapping[str, Any] | None) -> str:
    """A selector as `kubectl get -o wide` and a Scale's status write it."""
    if not selector:
        return ""
    parts = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for one in selector.get("matchExpressions") or ():
        match one["operator"]:
            case "Exists":
                parts.append(one["key"])
            case "DoesNotExist":
                parts.append(f"!{one['key']}")
            case operator:
                parts.append(f"{one['key']} {operator.lower()} ({','.join(sorted(one.get('values') or []))})")
    return ",".join(parts)
