"""Kubernetes' own definitions of its kinds: they drive decoding, strict checks, defaults, merging and explain."""

from __future__ import annotations

import copy
import gzip
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

import orjson

from labkit.clusters.embedded import quantities
from labkit.clusters.embedded.errors import Cause, bad_request, required

Schema = dict[str, Any]
_DATA = "labkit.clusters.embedded.data"
_QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_EITHER = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
_ABSENT = object()
_JSON_NAMES = {str: "string", bool: "bool", int: "number", float: "number", list: "array", dict: "object"}
_MAY_BE_ZERO = {
    ("io.k8s.api.discovery.v1.EndpointSlice", "endpoints"),
    ("io.k8s.api.core.v1.EnvVar", "value"),
    ("io.k8s.api.core.v1.NodeSelector", "nodeSelectorTerms"),
}


@cache
def _schemas() -> dict[str, Schema]:
    packed = files(_DATA).joinpath("definitions.json.gz").read_bytes()
    found: dict[str, Schema] = orjson.loads(gzip.decompress(packed))
    return found


@cache
def _defaults() -> dict[str, Schema]:
    return tomllib.loads(files(_DATA).joinpath("defaults.toml").read_text())


@dataclass(frozen=True)
class Place:
    """Where in an object a schema applies.

    Attributes:
        name: The definition's name, if the schema is a named one.
        schema: The schema, all references followed.
        site: The schema as it stands at the field itself, which holds the merge keys.
    """

    name: str
    schema: Schema
    site: Schema = field(default_factory=dict)

    def child(self, name: str) -> Place | None:
        """Where a field leads, or an entry of a map; None if nothing is known of it."""
        site = self.schema.get("properties", {}).get(name, self.schema.get("additionalProperties"))
        return resolve(site) if isinstance(site, dict) else None

    @property
    def items(self) -> Place | None:
        """Where an entry of a list leads."""
        site = self.schema.get("items")
        return resolve(site) if isinstance(site, dict) else None


def resolve(site: Schema) -> Place:
    """Follow a reference."""
    target = site.get("$ref") or next(
        (part["$ref"] for part in site.get("allOf", ()) if "$ref" in part), None
    )
    if target is None:
        return Place("", site, site)
    name = target.rsplit("/", 1)[1]
    return Place(name, _schemas().get(name, {}), site)


def place(name: str) -> Place:
    """Where the definition of that name applies."""
    return Place(name, _schemas()[name])


def known(name: str) -> bool:
    """Whether there is a definition of that name."""
    return name in _schemas()


def decode(name: str, thing: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """An object as the API understands it: without what it does not know, quantities in their own form.

    Returns:
        The object, and what is wrong with it by strict rules (`unknown field "spec.replicaz"`).

    Raises:
        ApiError: A field has the wrong type.
    """
    reader = _Reader(
        f'{thing.get("kind")} in version "{str(thing.get("apiVersion")).rsplit("/", 1)[-1]}"', thing
    )
    return reader.struct(place(name), thing, ""), reader.unknown


class _Reader:
    def __init__(self, subject: str, thing: dict[str, Any]) -> None:
        self.subject = f"{subject} cannot be handled as a {thing.get('kind')}"
        self.unknown: list[str] = []

    def struct(self, at: Place, value: dict[str, Any], path: str) -> dict[str, Any]:
        known_fields = at.schema.get("properties")
        read = {}
        for name, part in value.items():
            where = f"{path}.{name}" if path else name
            if known_fields is not None and name not in known_fields:
                self.unknown.append(f'unknown field "{where}"')
                continue
            inner = at.child(name)
            got = self.value(inner, part, where, at) if inner else part
            if got is not _ABSENT:
                read[name] = got
        return read

    def value(self, at: Place, value: Any, path: str, owner: Place) -> Any:
        if value is None:
            return _ABSENT
        kind = at.schema.get("type")
        if at.name == _QUANTITY:
            return self.quantity(value)
        if at.name == _EITHER:
            if isinstance(value, bool) or not isinstance(value, int | str):
                raise self.wrong(value, path, owner, "intstr.IntOrString")
            return value
        if kind == "object":
            if not isinstance(value, dict):
                raise self.wrong(value, path, owner, go_type(at))
            return self.struct(at, value, path)
        if kind == "array":
            if not isinstance(value, list):
                raise self.wrong(value, path, owner, go_type(at))
            inner = at.items
            read = [
                self.value(inner, part, f"{path}[{i}]", owner) if inner else part
                for i, part in enumerate(value)
            ]
            return [part for part in read if part is not _ABSENT]
        self.scalar(at, kind, value, path, owner)
        return value

    def scalar(self, at: Place, kind: str | None, value: Any, path: str, owner: Place) -> None:
        fits = {
            "string": isinstance(value, str),
            "boolean": isinstance(value, bool),
            "integer": isinstance(value, int) and not isinstance(value, bool),
            "number": isinstance(value, int | float) and not isinstance(value, bool),
        }.get(kind or "", True)
        if not fits:
            raise self.wrong(value, path, owner, go_type(at))

    def quantity(self, value: Any) -> str:
        try:
            return quantities.canonical(value)
        except ValueError as error:
            raise bad_request(f"{self.subject}: {error}") from None

    def wrong(self, value: Any, path: str, owner: Place, wanted: str) -> Exception:
        plain = "".join(part.split("[")[0] + "." for part in path.split(".")).rstrip(".")
        struct = owner.name.rsplit(".", 1)[-1] or "Object"
        found = _JSON_NAMES.get(type(value), "value")
        if found == "number" and isinstance(value, float):
            found = f"number {value}"
        return bad_request(
            f"{self.subject}: json: cannot unmarshal {found} into Go struct field {struct}.{plain} of type {wanted}"
        )


def go_type(at: Place) -> str:
    """The type as Kubernetes' own messages call it."""
    if at.name:
        version, _, name = at.name.rpartition(".")
        return f"{version.rsplit('.', 1)[-1]}.{name}"
    kind = at.schema.get("type")
    if kind == "array":
        return f"[]{go_type(at.items)}" if at.items else "[]interface {}"
    if kind == "object":
        inner = at.child("")
        return f"map[string]{go_type(inner)}" if inner else "map[string]interface {}"
    return {"integer": str(at.schema.get("format", "int32")), "boolean": "bool"}.get(str(kind), str(kind))


def give_defaults(at: Place, thing: Any) -> None:
    """Fill in, in place, what the API fills in by itself, all the way down."""
    if isinstance(thing, dict):
        for name, value in _defaults().get(at.name, {}).items():
            thing.setdefault(name, copy.deepcopy(value))
        for name, part in thing.items():
            if isinstance(part, dict | list) and (inner := at.child(name)) is not None:
                give_defaults(inner, part)
    elif isinstance(thing, list) and (inner := at.items) is not None:
        for part in thing:
            give_defaults(inner, part)


def missing(at: Place, thing: Any, path: str) -> Iterator[Cause]:
    """The fields that have to be there and are not."""
    if isinstance(thing, list):
        inner = at.items
        for i, part in enumerate(thing if inner else ()):
            assert inner is not None
            yield from missing(inner, part, f"{path}[{i}]")
    if not isinstance(thing, dict):
        return
    for name in at.schema.get("required", ()):
        if (at.name, name) in _MAY_BE_ZERO or (not path and name == "metadata"):
            continue
        where = f"{path}.{name}" if path else name
        if thing.get(name) in (None, "", []):
            inner = at.child(name)
            if inner is not None and inner.schema.get("type") == "object" and inner.schema.get("required"):
                if name != "selector":
                    yield from missing(inner, thing.get(name) or {}, where)
            else:
                yield required(where)
    for name, part in thing.items():
        if isinstance(part, dict | list) and (inner := at.child(name)) is not None:
            yield from missing(inner, part, f"{path}.{name}" if path else name)


def documents(names: list[str]) -> dict[str, Schema]:
    """These definitions with all that they refer to, by name, for OpenAPI documents."""
    wanted, found = list(names), {}
    while wanted:
        name = wanted.pop()
        if name not in found and name in _schemas():
            found[name] = _schemas()[name]
            wanted += list(_references(found[name]))
    return found


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(target := schema.get("$ref"), str):
            yield target.rsplit("/", 1)[1]
        for part in schema.values():
            yield from _references(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from _references(part)
