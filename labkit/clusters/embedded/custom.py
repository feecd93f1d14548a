"""Kinds that CustomResourceDefinitions add: served, pruned, filled in and validated by their own schemas."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from typing import Any

from labkit.clusters.embedded.errors import Cause, invalid, required
from labkit.clusters.embedded.resources import Resource

Object = dict[str, Any]
_META = ("apiVersion", "kind", "metadata")
_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}


def resources_of(definition: Object) -> list[Resource]:
    """The resources that a definition adds, one for each version that it serves."""
    spec, found = definition["spec"], []
    names = spec["names"]
    for version in spec["versions"]:
        if not version.get("served", True):
            continue
        subresources = version.get("subresources") or {}
        schema = (version.get("schema") or {}).get("openAPIV3Schema") or {}
        found.append(
            Resource(
                spec["group"],
                version["name"],
                names["plural"],
                names["kind"],
                namespaced=spec["scope"] == "Namespaced",
                short=tuple(names.get("shortNames") or ()),
                categories=tuple(names.get("categories") or ()),
                subresources=tuple(name for name in ("status", "scale") if name in subresources),
                schema=schema,
                columns=tuple(version.get("additionalPrinterColumns") or ()),
                preserve=bool(
                    spec.get("preserveUnknownFields") or schema.get("x-kubernetes-preserve-unknown-fields")
                ),
                scale_paths=subresources.get("scale"),
                singular_name=names.get("singular", ""),
            )
        )
    return found


def accept(definition: Object) -> None:
    """Say in a definition's status, in place, that it is served."""
    names = {**definition["spec"]["names"]}
    at = definition["metadata"]["creationTimestamp"]
    definition["status"] = {
        "acceptedNames": names,
        "storedVersions": [v["name"] for v in definition["spec"]["versions"] if v.get("storage")],
        "conditions": [
            {"type": "NamesAccepted", "status": "True", "lastTransitionTime": at, "reason": "NoConflicts",
             "message": "no conflicts found"},
            {"type": "Established", "status": "True", "lastTransitionTime": at, "reason": "InitialNamesAccepted",
             "message": "the initial names have been accepted"},
        ],
    }  # fmt: skip


def decode(resource: Resource, thing: Object) -> tuple[Object, list[str]]:
    """The object without what its schema does not know, defaults filled in, and what was unknown."""
    unknown: list[str] = []
    schema = resource.schema or {}
    kept = {name: thing[name] for name in _META if name in thing}
    rest = {name: part for name, part in thing.items() if name not in _META}
    if resource.preserve or not schema.get("properties"):
        return {**kept, **rest}, unknown
    pruned = _prune({**schema, "properties": {**schema["properties"]}}, rest, "", unknown)
    return {**kept, **pruned}, unknown


def _prune(schema: Object, value: Any, path: str, unknown: list[str]) -> Any:
    if isinstance(value, list):
        inner = schema.get("items") or {}
        return [_prune(inner, part, f"{path}[{i}]", unknown) for i, part in enumerate(value)]
    if not isinstance(value, dict) or schema.get("x-kubernetes-embedded-resource"):
        return value
    fields = schema.get("properties")
    others = schema.get("additionalProperties")
    if (
        fields is None
        and others is None
        and (schema.get("x-kubernetes-preserve-unknown-fields") or schema.get("type") != "object")
    ):
        return value
    kept = {}
    for name, part in value.items():
        where = f"{path}.{name}" if path else name
        inner = (fields or {}).get(name, others if isinstance(others, dict) else None)
        if inner is not None:
            kept[name] = _prune(inner, part, where, unknown)
        elif schema.get("x-kubernetes-preserve-unknown-fields") or others is True:
            kept[name] = part
        else:
            unknown.append(f'unknown field "{where}"')
    for name, inner in (fields or {}).items():
        if "default" in inner and name not in kept:
            kept[name] = copy.deepcopy(inner["default"])
    return kept


def causes(schema: Object, value: Any, path: str) -> Iterator[Cause]:
    """What is not valid by a schema."""
    if value is None and schema.get("nullable"):
        return
    kind = schema.get("type")
    if schema.get("x-kubernetes-int-or-string"):
        if isinstance(value, bool) or not isinstance(value, int | str):
            yield _type_cause(path, value, "integer,string")
        return
    if kind in _TYPES and (
        not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "boolean")
    ):
        yield _type_cause(path, value, str(kind))
        return
    if isinstance(value, dict):
        yield from _object_causes(schema, value, path)
    elif isinstance(value, list):
        yield from _list_causes(schema, value, path)
    else:
        yield from _scalar_causes(schema, value, path)


def _type_cause(path: str, value: Any, kind: str) -> Cause:
    found = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number"}
    shown = found.get(type(value), "null")
    return invalid(path, shown, f'{path} in body must be of type {kind}: "{shown}"')


def _object_causes(schema: Object, value: Object, path: str) -> Iterator[Cause]:
    for name in schema.get("required") or ():
        if name not in value:
            yield required(f"{path}.{name}" if path else name)
    others = schema.get("additionalProperties")
    for name, part in value.items():
        inner = (schema.get("properties") or {}).get(name, others if isinstance(others, dict) else None)
        if inner is not None and not (not path and name in _META):
            yield from causes(inner, part, f"{path}.{name}" if path else name)


def _list_causes(schema: Object, value: list[Any], path: str) -> Iterator[Cause]:
    least, most = schema.get("minItems"), schema.get("maxItems")
    if least is not None and len(value) < least:
        yield invalid(path, len(value), f"{path} in body should have at least {least} items")
    if most is not None and len(value) > most:
        yield invalid(path, len(value), f"{path} in body should have at most {most} items")
    for i, part in enumerate(value):
        yield from causes(schema.get("items") or {}, part, f"{path}[{i}]")


def _scalar_causes(schema: Object, value: Any, path: str) -> Iterator[Cause]:
    allowed = schema.get("enum")
    if allowed is not None and value not in allowed:
        words = ", ".join(f'"{one}"' for one in allowed)
        yield Cause("NotSupported", path, f"supported values: {words}", value)
    if isinstance(value, str):
        pattern = schema.get("pattern")
        if pattern is not None and not re.search(pattern, value):
            yield invalid(path, value, f"{path} in body should match '{pattern}'")
        if len(value) < schema.get("minLength", 0):
            yield invalid(path, value, f"{path} in body should be at least {schema['minLength']} chars long")
        if "maxLength" in schema and len(value) > schema["maxLength"]:
            yield Cause("TooLong", path, f"may not be more than {schema['maxLength']} bytes")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        if "minimum" in schema and value < schema["minimum"]:
            yield invalid(
                path, value, f"{path} in body should be greater than or equal to {schema['minimum']}"
            )
        if "maximum" in schema and value > schema["maximum"]:
            yield invalid(path, value, f"{path} in body should be less than or equal to {schema['maximum']}")
