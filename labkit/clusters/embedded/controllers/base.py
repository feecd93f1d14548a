"""One queue for all controllers: a change names what has to be looked at, and that is looked at once."""

from __future__ import annotations

import asyncio
import hashlib
import heapq
import logging
from collections import deque
from collections.abc import Iterable
from typing import Any, Protocol

from labkit.clusters.embedded.api import Api, timestamp
from labkit.clusters.embedded.errors import ApiError
from labkit.clusters.embedded.resources import built_in
from labkit.clusters.embedded.selectors import labels_of, matches
from labkit.clusters.embedded.store import Change

Object = dict[str, Any]
Key = tuple[str, str]
_LOG = logging.getLogger(__name__)
_RETRY_SECONDS = 0.5
_MOST_AT_ONCE = 50


class Controller(Protocol):
    """Looks after objects of one kind."""

    def concerned(self, api: Api, change: Change) -> Iterable[Key]:
        """Which objects, by namespace and name, have to be looked at after a change."""
        ...

    def reconcile(self, api: Api, namespace: str, name: str) -> float | None:
        """Bring one object nearer to what it asks for; gives in how many seconds to look again, if at all."""
        ...


class Manager:
    """Runs controllers: each change first names what is concerned, later that is reconciled, one after another.

    Args:
        api: The cluster's objects.
        controllers: Who looks after them.
    """

    def __init__(self, api: Api, controllers: Iterable[Controller]) -> None:
        self.api = api
        self.controllers = list(controllers)
        self._waiting: deque[tuple[Controller, Key]] = deque()
        self._known: set[tuple[int, Key]] = set()
        self._later: list[tuple[float, int, Controller, Key]] = []
        self._count = 0
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Go on until cancelled; begins by looking at everything there is."""
        end = self.api.listen(self._note)
        for resource in self.api.resources.stored():
            for stored in self.api.store.each(resource.key):
                self._note(Change("ADDED", resource.key, stored, None))
        try:
            while True:
                await self._pause()
                for _ in range(min(len(self._waiting), _MOST_AT_ONCE)):
                    self._work(*self._waiting.popleft())
        finally:
            end()

    async def _pause(self) -> None:
        """Wait until there is something to do; requests come first."""
        await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        while self._later and self._later[0][0] <= loop.time():
            _, _, controller, key = heapq.heappop(self._later)
            self._add(controller, key)
        if self._waiting:
            return
        self._wake.clear()
        left = self._later[0][0] - loop.time() if self._later else None
        try:
            await asyncio.wait_for(self._wake.wait(), left)
        except TimeoutError:
            return

    def _note(self, change: Change) -> None:
        for controller in self.controllers:
            for key in controller.concerned(self.api, change):
                self._add(controller, key)

    def _add(self, controller: Controller, key: Key) -> None:
        if (id(controller), key) not in self._known:
            self._known.add((id(controller), key))
            self._waiting.append((controller, key))
            self._wake.set()

    def _work(self, controller: Controller, key: Key) -> None:
        self._known.discard((id(controller), key))
        try:
            again = controller.reconcile(self.api, *key)
        except ApiError as error:
            _LOG.info("%s of %s: %s", type(controller).__name__, "/".join(key), error)
            again = _RETRY_SECONDS
        except Exception:
            # One object that a controller can't cope with must not stop all the others.
            _LOG.exception("%s of %s", type(controller).__name__, "/".join(key))
            again = None
        if again is not None:
            self._count += 1
            at = asyncio.get_running_loop().time() + max(again, 0.01)
            heapq.heappush(self._later, (at, self._count, controller, key))


def key_of(thing: Object) -> Key:
    """An object's namespace and name."""
    return thing["metadata"].get("namespace", ""), thing["metadata"]["name"]


def owner_of(thing: Object) -> Object | None:
    """Who controls an object."""
    return next(
        (one for one in thing["metadata"].get("ownerReferences") or () if one.get("controller")), None
    )


def owned(api: Api, key: str, owner: Object) -> list[Object]:
    """The objects of a resource that another one controls."""
    uid, namespace = owner["metadata"]["uid"], owner["metadata"]["namespace"]
    return [one for one in api.each(key, namespace) if (owner_of(one) or {}).get("uid") == uid]


def reference(owner: Object) -> Object:
    """What an object says of the one that controls it."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def claim(api: Api, key: str, owner: Object) -> list[Object]:
    """The objects of a resource that are an owner's: those that it selects and nobody controls become so.

    One that it no longer selects is let go, as pods are when somebody takes them out of service by a label.
    """
    selector, found = owner["spec"].get("selector"), []
    going = "deletionTimestamp" in owner["metadata"]
    for one in list(api.each(key, owner["metadata"]["namespace"])):
        holder, fits = owner_of(one), matches(selector, labels_of(one))
        ours = holder is not None and holder["uid"] == owner["metadata"]["uid"]
        if going or "deletionTimestamp" in one["metadata"] or ours == fits or (holder and not ours):
            found += [one] if ours else []
            continue
        others = [o for o in one["metadata"].get("ownerReferences") or () if not o.get("controller")]
        patch = {"metadata": {"ownerReferences": [*others, reference(owner)] if fits else others or None}}
        changed, _ = api.patch(built_in(key), *key_of(one), patch)
        found += [changed.object] if fits else []
    return found


def of_owner(change: Change, kind: str, resource: str, child: str) -> list[Key]:
    """The keys concerned for a controller of `kind`: the objects themselves, and the owners of their children."""
    if change.resource == resource:
        return [key_of(change.now.object)]
    if change.resource == child:
        owner = owner_of(change.now.object)
        if owner is not None and owner["kind"] == kind:
            return [(change.now.object["metadata"]["namespace"], owner["name"])]
    return []


def set_status(api: Api, resource: str, thing: Object, status: Object) -> None:
    """Write an object's status, unless it is that already."""
    if thing.get("status") != status:
        api.update(
            built_in(resource), *key_of(thing), {**thing, "status": status, "metadata": {}}, status=True
        )


def set_condition(
    conditions: list[Object], kind: str, status: str, reason: str, message: str
) -> list[Object]:
    """The conditions with one set; its times change only when it does."""
    now = timestamp()
    old = next((one for one in conditions if one["type"] == kind), None)
    if old is not None and (old["status"], old.get("reason"), old.get("message")) == (
        status,
        reason,
        message,
    ):
        return conditions
    moved = old["lastTransitionTime"] if old is not None and old["status"] == status else now
    new = {
        "type": kind,
        "status": status,
        "lastUpdateTime": now,
        "lastTransitionTime": moved,
        "reason": reason,
        "message": message,
    }
    return [new if one is old else one for one in conditions] + ([] if old is not None else [new])


def ready(pod: Object) -> bool:
    """Whether a pod is ready."""
    conditions = pod.get("status", {}).get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def ready_since(pod: Object) -> str:
    """When a pod became ready; empty if it is not."""
    conditions = pod.get("status", {}).get("conditions") or ()
    return next(
        (str(c["lastTransitionTime"]) for c in conditions if c["type"] == "Ready" and c["status"] == "True"),
        "",
    )


def active(pod: Object) -> bool:
    """Whether a pod runs or will."""
    return (
        pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")
        and "deletionTimestamp" not in pod["metadata"]
    )


def record(api: Api, about: Object, reason: str, message: str, source: str, kind: str = "Normal") -> None:
    """Write an event; the same one again is counted."""
    metadata, now = about["metadata"], timestamp()
    namespace = metadata.get("namespace") or "default"
    # Named by what it says, so that the same one is found without a look at all others.
    mark = hashlib.sha256("\n".join((metadata["uid"], reason, message)).encode()).hexdigest()[:16]
    named = f"{metadata['name'][:200]}.{mark}"
    if (event := api.find("events", namespace, named)) is not None:
        change = {"count": event.get("count", 1) + 1, "lastTimestamp": now}
        api.patch(built_in("events"), namespace, named, change)
        return
    event = {
        "metadata": {"name": named},
        "involvedObject": {
            "apiVersion": about["apiVersion"],
            "kind": about["kind"],
            "name": metadata["name"],
            "namespace": metadata.get("namespace"),
            "uid": metadata["uid"],
            "resourceVersion": metadata.get("resourceVersion"),
        },
        "reason": reason,
        "message": message,
        "source": {"component": source},
        "reportingComponent": source,
        "reportingInstance": "",
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
        "type": kind,
    }
    try:
        api.create(built_in("events"), namespace, event)
    except ApiError as error:
        # The namespace may be going: what it was told of goes with it.
        _LOG.info("event %s: %s", reason, error)


def pod_from(template: Object, owner: Object, name: str = "") -> Object:
    """A pod as a template asks for it."""
    metadata = template.get("metadata") or {}
    named = {"name": name} if name else {"generateName": f"{owner['metadata']['name']}-"}
    kept = {part: dict(metadata[part]) for part in ("labels", "annotations") if metadata.get(part)}
    return {
        "metadata": {**named, **kept, "ownerReferences": [reference(owner)]},
        "spec": {**template["spec"]},
    }
