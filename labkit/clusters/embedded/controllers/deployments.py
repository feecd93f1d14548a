"""Deployments: a ReplicaSet for each template, replaced step by step."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import orjson

from labkit.clusters.embedded.api import Api, moment
from labkit.clusters.embedded.controllers.base import (
    Key,
    claim,
    of_owner,
    owned,
    record,
    reference,
    set_condition,
    set_status,
)
from labkit.clusters.embedded.resources import built_in
from labkit.clusters.embedded.store import Change

Object = dict[str, Any]
HASH = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
_SOURCE = "deployment-controller"
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


def share(value: Any, whole: int, *, up: bool) -> int:
    """A number of replicas, given as such or as a percentage of all."""
    if isinstance(value, str):
        part = whole * int(value.rstrip("%")) / 100
        return math.ceil(part) if up else math.floor(part)
    return int(value)


def _template_of(replica_set: Object) -> Object:
    template: Object = orjson.loads(orjson.dumps(replica_set["spec"]["template"]))
    (template.get("metadata") or {}).get("labels", {}).pop(HASH, None)
    return template


def _mark(template: Object, tries: int) -> str:
    digest = int(hashlib.sha256(orjson.dumps([template, tries], option=orjson.OPT_SORT_KEYS)).hexdigest(), 16)
    letters = []
    for _ in range(10):
        digest, place = divmod(digest, len(_LETTERS))
        letters.append(_LETTERS[place])
    return "".join(letters)


def _count(replica_sets: Iterable[Object], field: str) -> int:
    return sum(one.get("status", {}).get(field, 0) for one in replica_sets)


def _asked(replica_sets: Iterable[Object]) -> int:
    return sum(one["spec"]["replicas"] for one in replica_sets)


def _revision(thing: Object) -> int:
    return int((thing["metadata"].get("annotations") or {}).get(REVISION, 0))


class Deployments:
    """Rolls templates out."""

    def concerned(self, api: Api, change: Change) -> Iterable[Key]:
        """Deployments, and those whose ReplicaSets change (or pods go, for Recreate)."""
        keys = of_owner(change, "Deployment", "deployments.apps", "replicasets.apps")
        if change.resource == "pods" and change.kind == "DELETED":
            for owner in change.now.object["metadata"].get("ownerReferences") or ():
                found = api.find(
                    "replicasets.apps", change.now.object["metadata"]["namespace"], owner["name"]
                )
                if found is not None:
                    keys += of_owner(
                        Change("", "replicasets.apps", _stored(api, found), None),
                        "Deployment",
                        "",
                        "replicasets.apps",
                    )
        return keys

    def reconcile(self, api: Api, namespace: str, name: str) -> float | None:
        """One step of a rollout, and its status."""
        thing = api.find("deployments.apps", namespace, name)
        if thing is None or "deletionTimestamp" in thing["metadata"]:
            return None
        every = claim(api, "replicasets.apps", thing)
        template = thing["spec"]["template"]
        new = next((one for one in every if _template_of(one) == template), None)
        paused = thing["spec"].get("paused", False)
        if new is None and not paused:
            if self._recreates(thing) and self._old_pods(api, every):
                for one in every:
                    self._scale(api, thing, one, 0)
                return self._status(api, thing, None)
            new = self._make(api, thing, every)
        elif new is not None and not paused:
            new = self._note_revision(api, thing, new, every)
        if new is not None:
            old = [one for one in every if one["metadata"]["uid"] != new["metadata"]["uid"]]
            if paused:
                self._scale(api, thing, new, max(0, thing["spec"]["replicas"] - _asked(old)))
            elif self._recreates(thing):
                self._recreate(api, thing, new, old)
            else:
                self._roll(api, thing, new, old)
            self._forget(api, thing, old)
        return self._status(api, api.find("deployments.apps", namespace, name) or thing, new)

    def _recreates(self, thing: Object) -> bool:
        return bool(thing["spec"]["strategy"]["type"] == "Recreate")

    def _old_pods(self, api: Api, every: list[Object]) -> bool:
        ended = ("Succeeded", "Failed")
        return any(
            p.get("status", {}).get("phase") not in ended for one in every for p in owned(api, "pods", one)
        )

    def _make(self, api: Api, thing: Object, every: list[Object]) -> Object:
        spec, namespace = thing["spec"], thing["metadata"]["namespace"]
        tries = 0
        while api.find(
            "replicasets.apps", namespace, f"{thing['metadata']['name']}-{_mark(spec['template'], tries)}"
        ):
            tries += 1
        mark = _mark(spec["template"], tries)
        template = orjson.loads(orjson.dumps(spec["template"]))
        template.setdefault("metadata", {}).setdefault("labels", {})[HASH] = mark
        number = max(map(_revision, every), default=0) + 1
        selector = orjson.loads(orjson.dumps(spec["selector"]))
        selector.setdefault("matchLabels", {})[HASH] = mark
        made, _ = api.create(
            built_in("replicasets.apps"),
            namespace,
            {
                "metadata": {
                    "name": f"{thing['metadata']['name']}-{mark}",
                    "labels": dict(template["metadata"]["labels"]),
                    "annotations": {**_notes(thing), REVISION: str(number)},
                    "ownerReferences": [reference(thing)],
                },
                "spec": {
                    "replicas": 0,
                    "selector": selector,
                    "template": template,
                    **({"minReadySeconds": spec["minReadySeconds"]} if "minReadySeconds" in spec else {}),
                },
            },
        )
        self._set_revision(api, thing, number)
        return made.object

    def _note_revision(self, api: Api, thing: Object, new: Object, every: list[Object]) -> Object:
        """A template that comes back gets the next revision."""
        last = max((_revision(one) for one in every if one is not new), default=0)
        number = max(_revision(new), last + 1)
        change: Object = {}
        wanted = {**_notes(thing), REVISION: str(number)}
        if not wanted.items() <= (new["metadata"].get("annotations") or {}).items():
            change["metadata"] = {"annotations": wanted}
        if new["spec"].get("minReadySeconds", 0) != thing["spec"].get("minReadySeconds", 0):
            change["spec"] = {"minReadySeconds": thing["spec"].get("minReadySeconds", 0)}
        if change:
            namespace, name = thing["metadata"]["namespace"], new["metadata"]["name"]
            new = api.patch(built_in("replicasets.apps"), namespace, name, change)[0].object
        self._set_revision(api, thing, number)
        return new

    def _set_revision(self, api: Api, thing: Object, number: int) -> None:
        if _revision(thing) != number:
            change = {"metadata": {"annotations": {REVISION: str(number)}}}
            api.patch(
                built_in("deployments.apps"),
                thing["metadata"]["namespace"],
                thing["metadata"]["name"],
                change,
            )

    def _limits(self, thing: Object) -> tuple[int, int]:
        rolling, wanted = thing["spec"]["strategy"].get("rollingUpdate") or {}, thing["spec"]["replicas"]
        surge = share(rolling.get("maxSurge", "25%"), wanted, up=True)
        unavailable = share(rolling.get("maxUnavailable", "25%"), wanted, up=False)
        return surge, 1 if not surge and not unavailable else unavailable

    def _roll(self, api: Api, thing: Object, new: Object, old: list[Object]) -> None:
        wanted = thing["spec"]["replicas"]
        surge, unavailable = self._limits(thing)
        now = new["spec"]["replicas"]
        if now > wanted:
            new = self._scale(api, thing, new, wanted)
        elif now < wanted:
            room = wanted + surge - _asked([new, *old])
            new = self._scale(api, thing, new, min(wanted, now + max(0, room)))
        missing = new["spec"]["replicas"] - new.get("status", {}).get("availableReplicas", 0)
        most = _asked([new, *old]) - (wanted - unavailable) - missing
        # Replicas that are not there anyway go first: they cost no availability.
        for one in sorted(old, key=_revision):
            sick = one["spec"]["replicas"] - one.get("status", {}).get("availableReplicas", 0)
            if (drop := min(sick, max(0, most))) > 0:
                one = self._scale(api, thing, one, one["spec"]["replicas"] - drop)
                most -= drop
        fresh = [api.find("replicasets.apps", *_key(one)) or one for one in old]
        room = _count([new, *fresh], "availableReplicas") - (wanted - unavailable)
        for one in sorted(fresh, key=_revision):
            if (drop := min(one["spec"]["replicas"], max(0, room))) > 0:
                self._scale(api, thing, one, one["spec"]["replicas"] - drop)
                room -= drop

    def _recreate(self, api: Api, thing: Object, new: Object, old: list[Object]) -> None:
        for one in old:
            self._scale(api, thing, one, 0)
        if not self._old_pods(api, old):
            self._scale(api, thing, new, thing["spec"]["replicas"])

    def _scale(self, api: Api, thing: Object, replica_set: Object, replicas: int) -> Object:
        before = replica_set["spec"]["replicas"]
        if before == replicas:
            return replica_set
        namespace, name = _key(replica_set)
        stored, _ = api.patch(built_in("replicasets.apps"), namespace, name, {"spec": {"replicas": replicas}})
        way = "up" if replicas > before else "down"
        record(
            api,
            thing,
            "ScalingReplicaSet",
            f"Scaled {way} replica set {name} from {before} to {replicas}",
            _SOURCE,
        )
        return stored.object

    def _forget(self, api: Api, thing: Object, old: list[Object]) -> None:
        idle = [
            one for one in old if not one["spec"]["replicas"] and not one.get("status", {}).get("replicas")
        ]
        kept = thing["spec"].get("revisionHistoryLimit", 10)
        for one in sorted(idle, key=_revision)[: max(0, len(idle) - kept)]:
            api.delete(built_in("replicasets.apps"), *_key(one))

    def _status(self, api: Api, thing: Object, new: Object | None) -> float | None:
        every = owned(api, "replicasets.apps", thing)
        updated = (api.find("replicasets.apps", *_key(new)) if new else None) or {}
        wanted, before = thing["spec"]["replicas"], thing.get("status", {})
        status: Object = {"observedGeneration": thing["metadata"]["generation"]}
        counts = {
            "replicas": _count(every, "replicas"),
            "updatedReplicas": updated.get("status", {}).get("replicas", 0),
            "readyReplicas": _count(every, "readyReplicas"),
            "availableReplicas": _count(every, "availableReplicas"),
        }
        counts["unavailableReplicas"] = max(0, max(counts["replicas"], wanted) - counts["availableReplicas"])
        status.update({name: count for name, count in counts.items() if count})
        conditions = list(before.get("conditions") or [])
        _, unavailable = self._limits(thing) if not self._recreates(thing) else (0, wanted)
        enough = counts["availableReplicas"] >= wanted - unavailable
        conditions = set_condition(
            conditions, "Available", "True" if enough else "False",
            "MinimumReplicasAvailable" if enough else "MinimumReplicasUnavailable",
            f"Deployment {'has' if enough else 'does not have'} minimum availability.",
        )  # fmt: skip
        name = updated.get("metadata", {}).get("name", "")
        complete = counts["updatedReplicas"] == counts["replicas"] == counts["availableReplicas"] == wanted
        waits = None
        if thing["spec"].get("paused"):
            conditions = set_condition(
                conditions, "Progressing", "Unknown", "DeploymentPaused", "Deployment is paused"
            )
        elif complete:
            conditions = set_condition(
                conditions,
                "Progressing",
                "True",
                "NewReplicaSetAvailable",
                f'ReplicaSet "{name}" has successfully progressed.',
            )
        else:
            conditions, waits = self._progress(
                thing, conditions, name, counts != {k: before.get(k, 0) for k in counts}
            )
        status["conditions"] = conditions
        set_status(api, "deployments.apps", thing, status)
        return waits

    def _progress(
        self, thing: Object, conditions: list[Object], name: str, moved: bool
    ) -> tuple[list[Object], float | None]:
        """The condition of a rollout under way, and when its deadline has to be looked at."""
        old = next((one for one in conditions if one["type"] == "Progressing"), None)
        changed = thing.get("status", {}).get("observedGeneration") != thing["metadata"]["generation"]
        if moved or changed or old is None or old["reason"] == "DeploymentPaused":
            conditions = [one for one in conditions if one is not old] if moved and old else conditions
            fresh = set_condition(
                conditions, "Progressing", "True", "ReplicaSetUpdated", f'ReplicaSet "{name}" is progressing.'
            )
            return fresh, float(thing["spec"].get("progressDeadlineSeconds", 600))
        since = (datetime.now(UTC) - moment(old["lastUpdateTime"])).total_seconds()
        left = thing["spec"].get("progressDeadlineSeconds", 600) - since
        if left > 0 or old["reason"] == "NewReplicaSetAvailable":
            return conditions, left if left > 0 else None
        message = f'ReplicaSet "{name}" has timed out progressing.'
        return set_condition(conditions, "Progressing", "False", "ProgressDeadlineExceeded", message), None


def _key(thing: Object) -> Key:
    return thing["metadata"]["namespace"], thing["metadata"]["name"]


def _stored(api: Api, thing: Object) -> Any:
    return api.get(built_in("replicasets.apps"), *_key(thing))


def _notes(thing: Object) -> dict[str, str]:
    """The annotations that a Deployment hands on to its newest ReplicaSet, such as the change's cause."""
    annotations = (thing["metadata"].get("annotations") or {}).items()
    return {
        name: value for name, value in annotations if not name.startswith("kubectl.") and name != REVISION
    }
