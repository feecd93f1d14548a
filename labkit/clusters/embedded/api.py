"""What can be done with objects, by whom it may come: HTTP, controllers, the scheduler and agents alike."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from labkit.clusters.embedded import admission, custom, definitions, errors, merge
from labkit.clusters.embedded.addresses import Addresses
from labkit.clusters.embedded.kinds import rules
from labkit.clusters.embedded.resources import Resource, Resources, built_in
from labkit.clusters.embedded.store import Change, Store, Stored

Object = dict[str, Any]
Admission = Callable[[Resource, Object, Object | None], None]
"""Looks at an object, completed, and at what it was before, if it was; refuses it with an ApiError."""
MOST_BYTES = 1_572_864
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_ORPHAN, _FOREGROUND = "orphan", "foregroundDeletion"
_POLICIES = {"Orphan": _ORPHAN, "Foreground": _FOREGROUND}
_SYSTEM_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")


def timestamp(moment: datetime | None = None) -> str:
    """A time as objects hold it, to the second."""
    return (moment or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(text: str) -> datetime:
    """The time that an object holds."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def suffix() -> str:
    """Five letters that make a generated name its own."""
    return "".join(random.choices(_LETTERS, k=5))  # noqa: S311 - a name, not a secret


class Api:
    """The cluster's objects, and the rules by which they change.

    Args:
        store: Where they are kept.
        addresses: Where Services get their addresses from.
    """

    def __init__(self, store: Store, addresses: Addresses | None = None) -> None:
        self.store = store
        self.resources = Resources()
        self.addresses = addresses or Addresses()
        for kept in store.each("customresourcedefinitions.apiextensions.k8s.io"):
            self._serve(kept.object)
        for kept in store.each("services"):
            self.addresses.take(kept.object)
        for name in _SYSTEM_NAMESPACES:
            if store.get("namespaces", "", name) is None:
                self.create(built_in("namespaces"), "", {"metadata": {"name": name}})

    def get(self, resource: Resource, namespace: str, name: str) -> Stored:
        """One object.

        Raises:
            ApiError: There is none of that name.
        """
        found = self.store.get(resource.key, namespace if resource.namespaced else "", name)
        if found is None:
            raise errors.not_found(resource, name)
        return found

    def find(self, key: str, namespace: str, name: str) -> Object | None:
        """One object, or None; nobody changes it in place."""
        found = self.store.get(key, namespace, name)
        return found.object if found else None

    def each(self, key: str, namespace: str | None = None) -> Iterator[Object]:
        """All objects of a resource, or those in a namespace; nobody changes them in place."""
        for stored in self.store.each(key):
            if namespace is None or stored.object["metadata"].get("namespace") == namespace:
                yield stored.object

    def create(
        self,
        resource: Resource,
        namespace: str,
        given: Object,
        *,
        dry_run: bool = False,
        strict: str = "Ignore",
        admit: Admission | None = None,
    ) -> tuple[Stored, list[str]]:
        """Make an object.

        Args:
            resource: Its resource.
            namespace: The namespace in the request's path.
            given: The object as it was sent.
            dry_run: Whether everything is done but keeping it.
            strict: What to do with unknown fields: `Strict` refuses, `Warn` warns, `Ignore` drops them.
            admit: Has the last word before it is kept.

        Returns:
            The object as it is kept, and warnings.

        Raises:
            ApiError: It is refused.
        """
        thing, warnings = admission.read(resource, given, strict)
        metadata: Object = {**(thing.get("metadata") or {})}
        thing["metadata"] = metadata
        for name in (
            "resourceVersion",
            "uid",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "selfLink",
            "managedFields",
        ):
            metadata.pop(name, None)
        admission.place(self.store, resource, namespace, metadata)
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"][:58] + suffix()
        metadata["uid"] = str(uuid.uuid4())
        metadata["creationTimestamp"] = timestamp()
        if rules(resource.key).generation and resource.key not in _NO_GENERATION:
            metadata["generation"] = 1
        if "status" in resource.subresources and resource.key not in ("nodes",):
            thing.pop("status", None)
        admission.complete(resource, thing, None)
        if self.store.get(resource.key, metadata.get("namespace", ""), metadata.get("name", "")) is not None:
            raise errors.already_exists(resource, metadata["name"])
        if admit is not None:
            admit(resource, thing, None)
        if resource.key == "services":
            self.addresses.give(thing)
        return self._keep(resource, thing, dry_run), warnings

    def update(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        given: Object,
        *,
        status: bool = False,
        dry_run: bool = False,
        strict: str = "Ignore",
        admit: Admission | None = None,
    ) -> tuple[Stored, list[str]]:
        """Replace an object, or with `status` its status alone.

        Raises:
            ApiError: It is refused; 409 if it has changed since the sender read it.
        """
        old = self.get(resource, namespace, name)
        thing, warnings = admission.read(resource, given, strict)
        metadata: Object = {**(thing.get("metadata") or {})}
        thing["metadata"] = metadata
        asked = metadata.get("resourceVersion")
        if asked and asked != str(old.revision):
            raise errors.conflict(resource, name)
        if (uid := metadata.get("uid")) and uid != old.object["metadata"]["uid"]:
            why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {old.object['metadata']['uid']}"
            raise errors.conflict(resource, name, why)
        if metadata.get("name", name) != name:
            message = (
                f"the name of the object ({metadata['name']}) does not match the name on the URL ({name})"
            )
            raise errors.bad_request(message)
        before = old.copy()
        if status:
            thing = {**before, "status": thing.get("status", {})}
        else:
            for kept in ("uid", "creationTimestamp", "namespace", "name", "deletionTimestamp",
                         "deletionGracePeriodSeconds", "generation", "generateName"):  # fmt: skip
                metadata.pop(kept, None)
                if kept in before["metadata"]:
                    metadata[kept] = before["metadata"][kept]
            metadata.pop("managedFields", None)
            if "status" in resource.subresources:
                thing.pop("status", None)
                if "status" in before:
                    thing["status"] = before["status"]
            admission.complete(resource, thing, before)
            if admit is not None:
                admit(resource, thing, before)
            if "generation" in before["metadata"] and _desired(thing) != _desired(before):
                metadata["generation"] = before["metadata"]["generation"] + 1
        thing["metadata"]["resourceVersion"] = str(old.revision)
        if thing == before:
            return old, warnings
        return self._keep(resource, thing, dry_run, old), warnings

    def patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        patch: Any,
        *,
        kind: str = "merge",
        status: bool = False,
        dry_run: bool = False,
        strict: str = "Ignore",
        admit: Admission | None = None,
    ) -> tuple[Stored, list[str]]:
        """Change parts of an object; `kind` is `json`, `merge` or `strategic`.

        Raises:
            ApiError: It is refused.
        """
        thing = self.patched(resource, self.get(resource, namespace, name).copy(), patch, kind)
        return self.update(
            resource, namespace, name, thing, status=status, dry_run=dry_run, strict=strict, admit=admit
        )

    def patched(self, resource: Resource, thing: Object, patch: Any, kind: str) -> Object:
        """An object with a patch applied; nothing is kept."""
        if kind == "json":
            return merge.json_patch(thing, patch)
        if not isinstance(patch, dict):
            raise errors.bad_request("the patch is not an object")
        if kind == "merge":
            merged: Object = merge.merge_patch(thing, patch)
            return merged
        if not resource.definition:
            raise errors.ApiError(
                415,
                "UnsupportedMediaType",
                "strategic merge patches are not supported for custom resources: send a merge patch",
            )
        return merge.strategic(definitions.place(resource.definition), thing, patch)

    def delete(
        self, resource: Resource, namespace: str, name: str, options: Mapping[str, Any] | None = None
    ) -> tuple[Stored, bool]:
        """Delete an object, or mark it for deletion where something has to be done first.

        Args:
            resource: Its resource.
            namespace: Its namespace.
            name: Its name.
            options: DeleteOptions: `gracePeriodSeconds`, `propagationPolicy`, `preconditions`, `dryRun`.

        Returns:
            The object, and whether it is gone.

        Raises:
            ApiError: There is none, or the preconditions do not hold.
        """
        options = options or {}
        old = self.get(resource, namespace, name)
        self._check_preconditions(resource, old, options.get("preconditions") or {})
        if resource.key == "namespaces" and name in _SYSTEM_NAMESPACES[:2]:
            raise errors.forbidden(resource, name, "this namespace may not be deleted")
        if options.get("dryRun"):
            return old, True
        thing = old.copy()
        metadata = thing["metadata"]
        finalizers = [one for one in metadata.get("finalizers") or () if one not in (_ORPHAN, _FOREGROUND)]
        policy = options.get("propagationPolicy")
        if options.get("orphanDependents"):
            policy = "Orphan"
        if policy in _POLICIES:
            finalizers.append(_POLICIES[policy])
        elif "deletionTimestamp" in metadata:
            finalizers = metadata.get("finalizers") or []
        grace = self._grace(resource, thing, options)
        waits = (
            bool(finalizers)
            or grace > 0
            or (resource.key == "namespaces" and bool(thing["spec"].get("finalizers")))
        )
        if not waits:
            return self._forget(resource, old), True
        metadata["finalizers"] = finalizers
        if not finalizers:
            metadata.pop("finalizers")
        sooner = grace < metadata.get("deletionGracePeriodSeconds", grace + 1)
        if "deletionTimestamp" not in metadata or sooner:
            metadata["deletionTimestamp"] = timestamp(datetime.now(UTC) + timedelta(seconds=grace))
            metadata["deletionGracePeriodSeconds"] = grace
            if "generation" in metadata:
                metadata["generation"] += 1
        if resource.key == "namespaces":
            thing["status"] = {**thing.get("status", {}), "phase": "Terminating"}
        if thing == old.object:
            return old, False
        return self.store.put(resource.key, metadata.get("namespace", ""), name, thing), False

    def listen(self, listener: Callable[[Change], None]) -> Callable[[], None]:
        """Be told of each change at once; gives what ends it."""
        return self.store.listen(listener)

    def _grace(self, resource: Resource, thing: Object, options: Mapping[str, Any]) -> int:
        if resource.key != "pods" or not thing["spec"].get("nodeName"):
            return 0
        if thing.get("status", {}).get("phase") in ("Succeeded", "Failed"):
            return 0
        asked = options.get("gracePeriodSeconds")
        return int(asked if asked is not None else thing["spec"].get("terminationGracePeriodSeconds", 30))

    def _check_preconditions(self, resource: Resource, old: Stored, wanted: Mapping[str, Any]) -> None:
        metadata = old.object["metadata"]
        for field, words, why in (
            ("uid", "UID", "The object might have been deleted and then recreated"),
            ("resourceVersion", "ResourceVersion", "The object might have been modified"),
        ):
            if wanted.get(field) and wanted[field] != metadata[field]:
                raise errors.precondition(
                    resource,
                    metadata["name"],
                    f"the {words} in the precondition ({wanted[field]}) does not match the {words} in record ({metadata[field]}). {why}",
                )

    def _keep(self, resource: Resource, thing: Object, dry_run: bool, old: Stored | None = None) -> Stored:
        metadata = thing["metadata"]
        if len(data := orjson.dumps(thing)) > MOST_BYTES:
            raise errors.too_large()
        if resource.key.startswith("customresourcedefinitions."):
            custom.accept(thing)
        if dry_run:
            return Stored(thing, data, old.revision if old else 0)
        stored = self.store.put(resource.key, metadata.get("namespace", ""), metadata["name"], thing)
        if resource.key.startswith("customresourcedefinitions."):
            self._serve(thing)
        if "deletionTimestamp" in metadata and self._may_go(resource, thing):
            return self._forget(resource, stored)
        return stored

    def _may_go(self, resource: Resource, thing: Object) -> bool:
        if thing["metadata"].get("finalizers") or thing["metadata"].get("deletionGracePeriodSeconds", 0) > 0:
            return False
        return not (resource.key == "namespaces" and thing["spec"].get("finalizers"))

    def _forget(self, resource: Resource, stored: Stored) -> Stored:
        metadata = stored.object["metadata"]
        if resource.key.startswith("customresourcedefinitions."):
            spec = stored.object["spec"]
            kept = f"{spec['names']['plural']}.{spec['group']}"
            for other in self.store.each(kept):
                self.store.delete(
                    kept, other.object["metadata"].get("namespace", ""), other.object["metadata"]["name"]
                )
            self.resources.remove(spec["group"], spec["names"]["plural"])
        if resource.key == "services":
            self.addresses.free(stored.object)
        return self.store.delete(resource.key, metadata.get("namespace", ""), metadata["name"])

    def _serve(self, definition: Object) -> None:
        spec = definition["spec"]
        self.resources.remove(spec["group"], spec["names"]["plural"])
        for resource in custom.resources_of(definition):
            self.resources.add(resource)


_NO_GENERATION = ("endpointslices.discovery.k8s.io",)


def _desired(thing: Object) -> Iterable[tuple[str, Any]]:
    return [(name, part) for name, part in sorted(thing.items()) if name not in ("metadata", "status")]
