"""What happens to an object before it is kept: read, placed in its namespace, completed, checked."""

from __future__ import annotations

from typing import Any

from labkit.clusters.embedded import custom, definitions, errors
from labkit.clusters.embedded.errors import Cause
from labkit.clusters.embedded.kinds import rules
from labkit.clusters.embedded.kinds.base import metadata_causes
from labkit.clusters.embedded.resources import Resource, built_in
from labkit.clusters.embedded.store import Store

Object = dict[str, Any]


def read(resource: Resource, given: Object, strict: str) -> tuple[Object, list[str]]:
    """An object as it was sent, without what its kind does not know; and warnings.

    Raises:
        ApiError: It is of another kind, or unknown fields are refused (`strict` is `Strict`).
    """
    if not isinstance(given, dict):
        raise errors.bad_request("the body is not an object")
    version, kind = given.get("apiVersion", resource.api_version), given.get("kind", resource.kind)
    if (version, kind) != (resource.api_version, resource.kind):
        asked, wanted = f"{version}, Kind={kind}", f"{resource.api_version}, Kind={resource.kind}"
        raise errors.bad_request(
            f"the object provided is unrecognized (must be of type {wanted}): it says {asked}"
        )
    given = {"apiVersion": version, "kind": kind, **given}
    if not isinstance(given.get("metadata", {}), dict):
        raise errors.bad_request("metadata is not an object")
    if resource.definition:
        thing, unknown = definitions.decode(resource.definition, given)
    else:
        thing, unknown = custom.decode(resource, given)
    if unknown and strict == "Strict":
        raise errors.bad_request(
            f'{kind} in version "{resource.version}" cannot be handled as a {kind}: '
            f"strict decoding error: {', '.join(unknown)}"
        )
    return thing, unknown if strict == "Warn" else []


def place(store: Store, resource: Resource, namespace: str, metadata: Object) -> None:
    """Give a new object, in place, the request's namespace.

    Raises:
        ApiError: It names another one, or the namespace is not there or is going.
    """
    if not resource.namespaced:
        metadata.pop("namespace", None)
        return
    if metadata.setdefault("namespace", namespace) != namespace:
        raise errors.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    found = store.get("namespaces", "", namespace)
    if found is None:
        raise errors.not_found(built_in("namespaces"), namespace)
    if found.object["status"].get("phase") == "Terminating":
        why = f"unable to create new content in namespace {namespace} because it is being terminated"
        refused = errors.forbidden(resource, metadata.get("name", ""), why)
        refused.details["causes"] = [
            {
                "reason": "NamespaceTerminating",
                "message": f"namespace {namespace} is being terminated",
                "field": "metadata.namespace",
            }
        ]
        raise refused


def complete(resource: Resource, thing: Object, old: Object | None) -> None:
    """Fill in what the API fills in, then refuse what is not valid."""
    found: list[Cause] = list(metadata_causes(thing, rules(resource.key).names))
    if resource.definition:
        at = definitions.place(resource.definition)
        if "spec" in at.schema.get("properties", {}) and resource.key not in ("namespaces", "nodes"):
            thing.setdefault("spec", {})
        definitions.give_defaults(at, thing)
        rules(resource.key).prepare(thing, old)
        desired = {name: part for name, part in thing.items() if name not in ("metadata", "status")}
        found += definitions.missing(at, desired, "")
        found += rules(resource.key).check(thing, old)
    else:
        found += custom.causes(resource.schema or {}, thing, "")
    if found:
        unique = list({str(cause): cause for cause in found}.values())
        raise errors.unprocessable(resource, thing["metadata"].get("name", ""), unique)
