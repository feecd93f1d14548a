"""Manifests that people wrote, read as an API server reads them: which object, which field, which line."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import yaml

from labkit.clusters.embedded import admission
from labkit.clusters.embedded.errors import ApiError
from labkit.clusters.embedded.resources import Resource, Resources
from labkit.errors import WorkFault

Object = dict[str, Any]
MOST_BYTES = 64 << 10
_PART = re.compile(r"([^.\[\]]+)|\[([^\]]*)\]")
_UNKNOWN = re.compile(r'unknown field "([^"]+)"')


def read_manifests(path: Path) -> list[Object]:
    """The objects of a file, each valid by Kubernetes' own definitions, as it was written (no defaults).

    Raises:
        WorkFault: It is not there, is no YAML, or an object would be refused; names object, field and line.
    """
    if not path.is_file() or path.is_symlink():
        raise WorkFault(f"There is no {path.name}.", next_step="Put it back beside the other files.")
    if path.stat().st_size > MOST_BYTES:
        raise WorkFault(f"{path.name} holds more than {MOST_BYTES >> 10} KiB.", next_step="Shorten it.")
    text = path.read_text(errors="replace")
    try:
        nodes = [node for node in yaml.compose_all(text, yaml.SafeLoader) if node is not None]
        objects = [thing for thing in yaml.safe_load_all(text) if thing is not None]
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or "it is nested too deep"
        raise WorkFault(f"{path.name}{where} is no YAML: {problem}.") from error
    for thing, node in zip(objects, nodes, strict=True):
        _check(path.name, thing, node)
    return objects


def one_of_kind(objects: list[Object], kind: str, file: str) -> Object:
    """The only object of a kind.

    Raises:
        WorkFault: There is none, or several.
    """
    found = [thing for thing in objects if thing["kind"] == kind]
    if len(found) != 1:
        raise WorkFault(
            f"{file} holds {len(found)} objects of the kind {kind}, not one.",
            next_step="Write it from the handed-out file.",
        )
    return found[0]


def completed(thing: Object) -> Object:
    """The object with the defaults that an API server fills in."""
    resource = _resource(thing)
    assert resource is not None, thing["kind"]
    read, _ = admission.read(resource, _with_uid(thing), "Ignore")
    admission.complete(resource, read, None)
    return read


def _with_uid(thing: Object) -> Object:
    """A copy with an id, as a server gives one to what it takes: a Job selects its pods by it."""
    thing = copy.deepcopy(thing)
    if isinstance(thing.get("metadata"), dict):
        thing["metadata"].setdefault("uid", "00000000-0000-0000-0000-000000000000")
    return thing


def _resource(thing: Object) -> Resource | None:
    return Resources().of_kind(str(thing.get("apiVersion")), str(thing.get("kind")))


def _check(file: str, thing: Any, node: yaml.Node) -> None:
    line = node.start_mark.line + 1
    if not isinstance(thing, dict) or not thing.get("kind") or not thing.get("apiVersion"):
        raise WorkFault(
            f"{file} line {line}: the object does not say what it is.",
            next_step="Give it apiVersion and kind.",
        )
    metadata = thing.get("metadata")
    name = metadata.get("name", "") if isinstance(metadata, dict) else ""
    resource = _resource(thing)
    if resource is None:
        raise WorkFault(
            f"{file} line {line}: there is no kind {thing['kind']} in version {thing['apiVersion']}.",
            next_step="kubectl api-resources lists the kinds and their versions.",
        )
    try:
        read, _ = admission.read(resource, _with_uid(thing), "Strict")
        admission.complete(resource, read, None)
    except ApiError as error:
        fields = [cause.get("field", "") for cause in error.details.get("causes", ())] or _UNKNOWN.findall(
            error.message
        )
        where = next((found for field in fields if (found := line_of(node, field))), line)
        raise WorkFault(f"{file} line {where}: {thing['kind']} {name}: {error.message}") from error
    except (AttributeError, KeyError, TypeError) as error:
        raise WorkFault(
            f"{file} line {line}: {thing['kind']} {name} has a field of the wrong form ({error})."
        ) from error


def line_of(node: yaml.Node, field: str) -> int:
    """The line of a field, `spec.containers[0].image`, or of what of it there is; 0 if nothing."""
    line = 0
    for name, index in _PART.findall(field):
        if index.isdigit() and isinstance(node, yaml.SequenceNode) and int(index) < len(node.value):
            node = node.value[int(index)]
            line = node.start_mark.line + 1
            continue
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        found = next(((key, value) for key, value in pairs if key.value == (name or index)), None)
        if found is None:
            break
        line, node = found[0].start_mark.line + 1, found[1]
    return line
