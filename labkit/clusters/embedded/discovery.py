"""How clients find out what is served: discovery, plain and aggregated, and OpenAPI v3."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import Any

from labkit.clusters.embedded import definitions
from labkit.clusters.embedded.resources import SUBRESOURCE_KINDS, Resource, Resources

Object = dict[str, Any]
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
VERSION = {
    "major": "1",
    "minor": "37",
    "gitVersion": "v1.37.0-embedded",
    "gitCommit": "",
    "gitTreeState": "",
    "buildDate": "",
    "goVersion": "",
    "compiler": "",
    "platform": "",
}


def _groups(resources: Resources) -> dict[str, dict[str, list[Resource]]]:
    found: dict[str, dict[str, list[Resource]]] = defaultdict(lambda: defaultdict(list))
    for resource in resources:
        found[resource.group][resource.version].append(resource)
    return found


def _subresource(resource: Resource, name: str) -> tuple[Object, list[str]]:
    own = (resource.group, resource.version, resource.kind, ("get", "patch", "update"))
    group, version, kind, verbs = SUBRESOURCE_KINDS.get(name, own)
    return {"group": group, "version": version, "kind": kind}, list(verbs)


def resource_list(resources: Resources, group: str, version: str) -> Object | None:
    """What a group's version holds, in the plain form; None if there is no such version."""
    held = _groups(resources).get(group, {}).get(version)
    if held is None:
        return None
    entries: list[Object] = []
    for resource in held:
        entries.append(
            {
                "name": resource.plural,
                "singularName": resource.singular,
                "namespaced": resource.namespaced,
                "kind": resource.kind,
                "verbs": sorted(resource.verbs),
                **({"shortNames": list(resource.short)} if resource.short else {}),
                **({"categories": list(resource.categories)} if resource.categories else {}),
            }
        )
        for name in resource.subresources:
            kind, verbs = _subresource(resource, name)
            entry = {
                "name": f"{resource.plural}/{name}",
                "singularName": "",
                "namespaced": resource.namespaced,
            }
            entries.append({**entry, **kind, "verbs": verbs})
    name = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": name, "resources": entries}


def group_list(resources: Resources) -> Object:
    """All groups, in the plain form."""
    groups = [_group(name, list(versions)) for name, versions in _groups(resources).items() if name]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


def group(resources: Resources, name: str) -> Object | None:
    """One group, in the plain form."""
    versions = _groups(resources).get(name) if name else None
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, list(versions))} if versions else None


def _group(name: str, versions: list[str]) -> Object:
    named = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": named, "preferredVersion": named[0]}


def aggregated(resources: Resources, *, core: bool) -> Object:
    """All of it in one document: the core's for `/api`, the groups' for `/apis`."""
    items = []
    for name, versions in _groups(resources).items():
        if bool(name) == core:
            continue
        listed = [
            {"version": version, "freshness": "Current", "resources": [_aggregated(one) for one in held]}
            for version, held in versions.items()
        ]
        items.append({"metadata": {"name": name, "creationTimestamp": None}, "versions": listed})
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    }


def _aggregated(resource: Resource) -> Object:
    subresources = []
    for name in resource.subresources:
        kind, verbs = _subresource(resource, name)
        subresources.append({"subresource": name, "responseKind": kind, "verbs": verbs})
    return {
        "resource": resource.plural,
        "responseKind": {"group": resource.group, "version": resource.version, "kind": resource.kind},
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": sorted(resource.verbs),
        "shortNames": list(resource.short),
        "categories": list(resource.categories),
        "subresources": subresources,
    }


def openapi_index(resources: Resources) -> Object:
    """Where each group's OpenAPI document is."""
    paths = {}
    for name, versions in _groups(resources).items():
        for version, held in versions.items():
            path = f"apis/{name}/{version}" if name else f"api/{version}"
            mark = hashlib.sha256(repr(held).encode()).hexdigest()[:16]
            paths[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={mark}"}
    return {"paths": paths}


def openapi(resources: Resources, name: str, version: str) -> Object | None:
    """A group's OpenAPI v3 document: its kinds' schemas, and where they are used."""
    held = _groups(resources).get(name, {}).get(version)
    if held is None:
        return None
    schemas = definitions.documents([resource.definition for resource in held if resource.definition])
    paths: Object = {}
    for resource in held:
        if not resource.definition and resource.schema is None:
            continue
        schema = resource.definition or ".".join(
            (*reversed(resource.group.split(".")), version, resource.kind)
        )
        kind = {"group": resource.group, "version": version, "kind": resource.kind}
        if not resource.definition:
            schemas[schema] = _custom(resource)
        # Several groups share a definition's file: each kind says for itself what it is.
        schemas[schema] = {**schemas[schema], "x-kubernetes-group-version-kind": [kind]}
        below = f"{resource.root}/namespaces/{{namespace}}" if resource.namespaced else resource.root
        paths[f"{below}/{resource.plural}"] = {"post": _operation("post", kind, schema)}
        paths[f"{below}/{resource.plural}/{{name}}"] = {
            "get": _operation("get", kind, schema),
            "put": _operation("put", kind, schema),
            "patch": _operation("patch", kind, schema),
        }
    about = {"title": "Kubernetes", "version": VERSION["gitVersion"]}
    return {"openapi": "3.0.0", "info": about, "paths": paths, "components": {"schemas": schemas}}


def _custom(resource: Resource) -> Object:
    schema = {**(resource.schema or {})}
    given = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    }
    return {**schema, "type": "object", "properties": {**given, **(schema.get("properties") or {})}}


def _operation(action: str, kind: Object, schema: str) -> Object:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    names = ("dryRun", "fieldManager", "fieldValidation")
    return {
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": kind,
        "parameters": [{"name": name, "in": "query", "schema": {"type": "string"}} for name in names],
        "responses": {"200": {"description": "OK", "content": content}},
    }
