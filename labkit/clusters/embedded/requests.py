"""A request, taken apart: what it is about, what it holds, how it wants its answer."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson
import yaml
from aiohttp import web

from labkit.clusters.embedded import errors, protobuf
from labkit.clusters.embedded.resources import Resource, Resources

Object = dict[str, Any]
PATCHES = {
    "application/json-patch+json": "json",
    "application/merge-patch+json": "merge",
    "application/strategic-merge-patch+json": "strategic",
}


@dataclass(frozen=True)
class Target:
    """What a request's path names.

    Attributes:
        resource: The resource.
        namespace: The namespace; None if the path names none.
        name: The object; empty for the collection.
        subresource: The subresource; empty for the object itself.
    """

    resource: Resource
    namespace: str | None
    name: str = ""
    subresource: str = ""


def target(resources: Resources, path: str) -> Target:
    """What a path names.

    Raises:
        ApiError: Nothing is served there.
    """
    parts = [part for part in path.split("/") if part]
    if parts[:1] == ["api"] and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[:1] == ["apis"] and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        raise errors.no_such_path()
    namespace = None
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    resource = resources.find(group, version, rest[0])
    if resource is None or len(rest) > 3 or (namespace is not None and not resource.namespaced):
        raise errors.no_such_path()
    if len(rest) == 3 and rest[2] not in resource.subresources:
        raise errors.no_such_path()
    return Target(resource, namespace, *rest[1:])


async def body(request: web.Request) -> Any:
    """What the request's body holds; None if it is empty.

    Raises:
        ApiError: It is malformed, too large or in an unknown form.
    """
    try:
        data = await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise errors.too_large() from None
    if not data:
        return None
    kind = request.content_type
    if kind == "application/vnd.kubernetes.protobuf":
        return protobuf.decode(data)
    if kind == "application/apply-patch+yaml":
        raise errors.not_here("server-side apply")
    if kind == "application/yaml":
        try:
            return yaml.safe_load(data)
        except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
            raise errors.bad_request(f"error converting YAML to JSON: {error}") from None
    if kind not in ("application/json", "application/octet-stream", *PATCHES):
        raise errors.unsupported_media(kind)
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise errors.bad_request(
            f"the object provided is unrecognized: couldn't get version/kind; json parse error: {error}"
        ) from None


def wants_table(request: web.Request) -> bool:
    """Whether the answer is to be a Table."""
    return "as=Table" in request.headers.get("Accept", "")


def flag(request: web.Request, name: str) -> bool:
    """A parameter that is on or off."""
    return request.query.get(name, "") in ("true", "1")


def dry_run(request: web.Request, options: Any = None) -> bool:
    """Whether nothing is to be kept.

    Raises:
        ApiError: It asks for a kind of dry run that is none.
    """
    asked = request.query.getall("dryRun", []) or (options or {}).get("dryRun") or []
    if asked and list(asked) != ["All"]:
        raise errors.bad_request(f'Invalid value for dryRun: {list(asked)}: supported values: "All"')
    return bool(asked)


def page(things: list[Any], limit: int, start: str) -> tuple[list[Any], str, int]:
    """One page of a list: its entries, where it goes on, how many remain.

    Args:
        things: All entries, as (namespace/name, entry).
        limit: How many a page holds; 0 for all.
        start: Where the last one ended, as it was told.

    Raises:
        ApiError: `start` can't be read.
    """
    if start:
        try:
            after = base64.urlsafe_b64decode(start.encode()).decode()
        except ValueError:
            raise errors.continue_expired() from None
        things = [thing for thing in things if thing[0] > after]
    if not limit or len(things) <= limit:
        return things, "", 0
    token = base64.urlsafe_b64encode(things[limit - 1][0].encode()).decode()
    return things[:limit], token, len(things) - limit


def warnings(found: Iterable[str]) -> list[tuple[str, str]]:
    """Headers that make clients print warnings."""
    return [("Warning", '299 - "' + text.replace('"', '\\"') + '"') for text in found]
