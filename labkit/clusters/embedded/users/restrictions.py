"""What a guest may ask of the cluster, read from data and held against each object before it is kept.

The model is Kubernetes' Pod Security admission; every control is an entry of `restrictions.toml`, and what is
refused names the control, the field and the reason.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Set
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson

from labkit.clusters.embedded import errors
from labkit.clusters.embedded.errors import ApiError, Cause
from labkit.clusters.embedded.resources import Resource

Object = dict[str, Any]
_TEMPLATES = {"pods": "spec"}
_TEMPLATE = "spec.template.spec"
_CONTAINERS = ("initContainers", "containers", "ephemeralContainers")


@dataclass(frozen=True)
class Control:
    """One thing that a guest may not ask for.

    Attributes:
        control: Its name, as the Pod Security Standards have it.
        why: The reason, a clause without a full stop.
        fields: Paths that it looks at, in a pod's spec or in an object of `kinds`.
        containers: Paths in each container.
        kinds: The resources that it is about; none for pods and templates of pods.
        allowed: The values that fit; for numbers `most` instead.
        most: The highest number that fits.
    """

    control: str
    why: str
    fields: tuple[str, ...] = ()
    containers: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    allowed: tuple[Any, ...] = ()
    most: int | None = None

    def causes(self, thing: Any, paths: tuple[str, ...], prefix: str) -> Iterator[Cause]:
        """The fields below `thing` that do not fit."""
        for path in paths:
            for place, value in values(thing, path, prefix):
                if not self._fits(value):
                    shown = orjson.dumps(value).decode()[:60]
                    yield Cause(
                        "Forbidden", place, f'{shown} is not for guests ("{self.control}": {self.why})'
                    )

    def _fits(self, value: Any) -> bool:
        if self.most is not None:
            return isinstance(value, int) and value <= self.most
        # 0 == False: compare kinds, too.
        return any(type(value) is type(one) and value == one for one in self.allowed)


def values(thing: Any, path: str, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """What a path names in an object, each with the field's whole name; what is not there or null is left out."""
    head, _, rest = path.partition(".")
    if head == "*":
        yield from ((f"{prefix}.{name}", name) for name in thing or ())
        return
    name, every = head.removesuffix("[*]"), head.endswith("[*]")
    found = thing.get(name) if isinstance(thing, dict) else None
    if found is None:
        return
    place = f"{prefix}.{name}".lstrip(".")
    entries = [(f"{place}[{i}]", one) for i, one in enumerate(found)] if every else [(place, found)]
    for where, one in entries:
        if rest:
            yield from values(one, rest, where)
        elif one is not None:
            yield where, one


@dataclass(frozen=True)
class Rules:
    """All that `restrictions.toml` holds."""

    guests_write: frozenset[str]
    most_objects: int
    pods: tuple[Control, ...]
    objects: tuple[Control, ...]


@lru_cache(maxsize=1)
def rules() -> Rules:
    """The restrictions, read once."""
    found = tomllib.loads((Path(__file__).parent / "restrictions.toml").read_text())

    def controls(entries: list[Object]) -> tuple[Control, ...]:
        tupled: list[Object] = [
            {k: tuple(v) if isinstance(v, list) else v for k, v in one.items()} for one in entries
        ]
        return tuple(Control(**one) for one in tupled)

    return Rules(
        frozenset(found["guests_write"]),
        int(found["most_objects"]),
        controls(found["pods"]),
        controls(found["objects"]),
    )


def check(resource: Resource, thing: Object, *, images: Set[str]) -> None:
    """Go on if a guest may have this object.

    Args:
        resource: Its resource.
        thing: The object, completed.
        images: The images that the guest's pods may run, as `whole` writes them.

    Raises:
        ApiError: 403, with every field that does not fit.
    """
    found = list(_causes(resource, thing, images))
    if found:
        raise refused(resource, str(thing["metadata"].get("name", "")), found)


def refused(resource: Resource, name: str, causes: list[Cause]) -> ApiError:
    """What is answered: the object is understood, and not for guests."""
    said = "; ".join(f"{cause.path}: {cause.detail}" for cause in causes)
    error = errors.forbidden(resource, name, said)
    error.details["causes"] = [cause.as_json() for cause in causes]
    return error


def _causes(resource: Resource, thing: Object, images: Set[str]) -> Iterator[Cause]:
    for control in rules().objects:
        if resource.key in control.kinds:
            yield from control.causes(thing, control.fields, "")
    if not resource.definition:
        return  # nothing here makes pods of a custom resource
    prefix = _TEMPLATES.get(resource.key, _TEMPLATE)
    for _, spec in values(thing, prefix):
        yield from pod_causes(spec, prefix, images)


def pod_causes(spec: Object, prefix: str, images: Set[str]) -> Iterator[Cause]:
    """What a guest's pod may not have of what its spec asks for."""
    for control in rules().pods:
        yield from control.causes(spec, control.fields, prefix)
        for field in _CONTAINERS:
            paths = tuple(f"{field}[*].{path}" for path in control.containers)
            yield from control.causes(spec, paths, prefix)
    for field in _CONTAINERS:
        for place, image in values(spec, f"{field}[*].image", prefix):
            if whole(str(image)) not in images:
                why = f"{orjson.dumps(str(image)[:100]).decode()} is not among the images that this cluster was given"
                yield Cause("Forbidden", place, why)


def whole(image: str) -> str:
    """An image's name with what people leave out: registry, library, tag."""
    first, _, rest = image.partition("/")
    if not rest:
        image = f"docker.io/library/{image}"
    elif "." not in first and ":" not in first and first != "localhost":
        image = f"docker.io/{image}"
    return image if "@" in image or ":" in image.rpartition("/")[2] else f"{image}:latest"
