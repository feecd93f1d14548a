"""What goes with its owner, what goes with its namespace, and what each namespace has from the start."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from labkit.clusters.embedded.api import Api
from labkit.clusters.embedded.controllers.base import Key, key_of, ready, set_status
from labkit.clusters.embedded.controllers.deployments import share
from labkit.clusters.embedded.resources import built_in
from labkit.clusters.embedded.selectors import labels_of, matches
from labkit.clusters.embedded.store import Change

Object = dict[str, Any]


class Garbage:
    """Deletes objects whose owners are gone; keys are a resource's key and `namespace/name`."""

    def concerned(self, api: Api, change: Change) -> Iterable[Key]:
        """Objects with owners, objects that are going, and what owned by those that went."""
        thing = change.now.object
        keys = [] if change.kind == "DELETED" else [self._key(change.resource, thing)]
        if change.kind == "DELETED":
            keys += self._dependents(api, thing)
            keys += [
                k
                for owner in thing["metadata"].get("ownerReferences") or ()
                if (k := self._owner_key(api, thing, owner))
            ]
        return keys

    def reconcile(self, api: Api, key: str, path: str) -> float | None:
        """Delete one object if no owner is left; orphan or delete what a going one owns."""
        namespace, name = path.split("/", 1)
        resource = next((one for one in api.resources.stored() if one.key == key), None)
        thing = api.find(key, namespace, name)
        if thing is None or resource is None:
            return None
        finalizers = thing["metadata"].get("finalizers") or []
        if "deletionTimestamp" in thing["metadata"] and {"orphan", "foregroundDeletion"} & set(finalizers):
            self._let_go(api, resource, thing, finalizers)
            return None
        owners = thing["metadata"].get("ownerReferences") or []
        if owners and "deletionTimestamp" not in thing["metadata"]:
            kept = [owner for owner in owners if self._exists(api, thing, owner)]
            if not kept:
                api.delete(resource, namespace, name, {"propagationPolicy": "Background"})
        return None

    def _let_go(self, api: Api, resource: Any, thing: Object, finalizers: list[str]) -> None:
        waits = False
        for key, path in self._dependents(api, thing):
            namespace, name = path.split("/", 1)
            child = next(one for one in api.resources.stored() if one.key == key)
            found = api.find(key, namespace, name)
            if found is None:
                continue
            if "orphan" in finalizers:
                kept = [
                    o for o in found["metadata"]["ownerReferences"] if o["uid"] != thing["metadata"]["uid"]
                ]
                api.patch(child, namespace, name, {"metadata": {"ownerReferences": kept or None}})
            else:
                waits = True
                if "deletionTimestamp" not in found["metadata"]:
                    api.delete(
                        child,
                        namespace,
                        name,
                        {"propagationPolicy": "Foreground" if key != "pods" else "Background"},
                    )
        if not waits:
            kept = [one for one in finalizers if one not in ("orphan", "foregroundDeletion")]
            api.patch(resource, *key_of(thing), {"metadata": {"finalizers": kept or None}})

    def _dependents(self, api: Api, owner: Object) -> list[Key]:
        uid = owner["metadata"]["uid"]
        return [
            self._key(resource.key, thing)
            for resource in api.resources.stored()
            for thing in api.each(resource.key)
            if any(one.get("uid") == uid for one in thing["metadata"].get("ownerReferences") or ())
        ]

    def _exists(self, api: Api, thing: Object, owner: Object) -> bool:
        resource = api.resources.of_group_kind(owner["apiVersion"], owner["kind"])
        if resource is None:
            return True
        namespace = thing["metadata"].get("namespace", "") if resource.namespaced else ""
        found = api.find(resource.key, namespace, owner["name"])
        return found is not None and found["metadata"]["uid"] == owner["uid"]

    def _owner_key(self, api: Api, thing: Object, owner: Object) -> Key | None:
        resource = api.resources.of_group_kind(owner["apiVersion"], owner["kind"])
        if resource is None:
            return None
        namespace = thing["metadata"].get("namespace", "") if resource.namespaced else ""
        return resource.key, f"{namespace}/{owner['name']}"

    def _key(self, key: str, thing: Object) -> Key:
        return key, f"{thing['metadata'].get('namespace', '')}/{thing['metadata']['name']}"


class Namespaces:
    """Gives each namespace its service account, and empties one that goes."""

    def concerned(self, api: Api, change: Change) -> Iterable[Key]:
        """Namespaces, and those that are going and lose an object."""
        if change.resource == "namespaces":
            return [key_of(change.now.object)]
        namespace = change.now.object["metadata"].get("namespace")
        if namespace and change.kind == "DELETED":
            return [("", namespace)]
        return []

    def reconcile(self, api: Api, namespace: str, name: str) -> float | None:
        """Delete what is left in a namespace that goes, then let it go."""
        thing = api.find("namespaces", "", name)
        if thing is None:
            return None
        if "deletionTimestamp" not in thing["metadata"]:
            if api.find("serviceaccounts", name, "default") is None:
                api.create(built_in("serviceaccounts"), name, {"metadata": {"name": "default"}})
            return None
        left = False
        for resource in api.resources.stored():
            for one in list(api.each(resource.key, name)) if resource.namespaced else ():
                left = True
                if "deletionTimestamp" not in one["metadata"]:
                    api.delete(resource, name, one["metadata"]["name"], {"propagationPolicy": "Background"})
        if left and any(True for r in api.resources.stored() if r.namespaced for _ in api.each(r.key, name)):
            return None
        api.update(built_in("namespaces"), "", name, {**thing, "spec": {}, "metadata": {**thing["metadata"]}})
        return None


class Budgets:
    """Counts how many pods may be disrupted."""

    def concerned(self, api: Api, change: Change) -> Iterable[Key]:
        """Disruption budgets, and those that select a pod that changes."""
        if change.resource == "poddisruptionbudgets.policy":
            return [key_of(change.now.object)]
        if change.resource != "pods":
            return []
        pod = change.now.object
        return [
            key_of(one)
            for one in api.each("poddisruptionbudgets.policy", pod["metadata"]["namespace"])
            if matches(one["spec"].get("selector"), labels_of(pod))
        ]

    def reconcile(self, api: Api, namespace: str, name: str) -> float | None:
        """Write a budget's status."""
        thing = api.find("poddisruptionbudgets.policy", namespace, name)
        if thing is None:
            return None
        spec = thing["spec"]
        pods = [
            pod
            for pod in api.each("pods", namespace)
            if matches(spec.get("selector"), labels_of(pod))
            and pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")
        ]
        going = thing.get("status", {}).get("disruptedPods") or {}
        there = {pod["metadata"]["name"]: pod for pod in pods}
        going = {
            one: at
            for one, at in going.items()
            if one in there and "deletionTimestamp" not in there[one]["metadata"]
        }
        healthy = sum(
            ready(pod) and "deletionTimestamp" not in pod["metadata"] and pod["metadata"]["name"] not in going
            for pod in pods
        )
        expected = self._expected(api, namespace, pods)
        if "maxUnavailable" in spec:
            desired = max(0, expected - share(spec["maxUnavailable"], expected, up=True))
        else:
            desired = share(spec.get("minAvailable", 1), expected, up=True)
        allowed = max(0, healthy - desired) if expected else 0
        status: Object = {
            "currentHealthy": healthy,
            "desiredHealthy": desired,
            "disruptionsAllowed": allowed,
            "expectedPods": expected,
            "observedGeneration": thing["metadata"].get("generation", 1),
            **({"disruptedPods": going} if going else {}),
        }
        set_status(api, "poddisruptionbudgets.policy", thing, status)
        return None

    def _expected(self, api: Api, namespace: str, pods: list[Object]) -> int:
        """How many pods their controllers want; pods of nobody count as they are."""
        total, seen = 0, set()
        for pod in pods:
            owner = next(
                (o for o in pod["metadata"].get("ownerReferences") or () if o.get("controller")), None
            )
            found = api.find("replicasets.apps", namespace, owner["name"]) if owner else None
            while found is not None and (
                above := next(iter(found["metadata"].get("ownerReferences") or ()), None)
            ):
                found = api.find("deployments.apps", namespace, above["name"])
            if found is None:
                total += 1
            elif found["metadata"]["uid"] not in seen:
                seen.add(found["metadata"]["uid"])
                total += found["spec"]["replicas"]
        return total


class Claims:
    """Gives each claim its volume: a folder of this machine."""

    def concerned(self, api: Api, change: Change) -> Iterable[Key]:
        """Claims."""
        return [key_of(change.now.object)] if change.resource == "persistentvolumeclaims" else []

    def reconcile(self, api: Api, namespace: str, name: str) -> float | None:
        """Bind a claim."""
        thing = api.find("persistentvolumeclaims", namespace, name)
        if thing is None or thing.get("status", {}).get("phase") == "Bound":
            return None
        spec = thing["spec"]
        if not spec.get("volumeName"):
            volume = {"spec": {"volumeName": f"pvc-{thing['metadata']['uid']}"}}
            api.patch(built_in("persistentvolumeclaims"), namespace, name, volume)
        capacity = {"storage": spec["resources"]["requests"]["storage"]}
        status = {"phase": "Bound", "accessModes": spec["accessModes"], "capacity": capacity}
        set_status(
            api,
            "persistentvolumeclaims",
            api.find("persistentvolumeclaims", namespace, name) or thing,
            status,
        )
        return None
