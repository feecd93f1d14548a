"""CustomResourceDefinitions, and the objects of the kinds that they define."""

from __future__ import annotations

import kubernetes.client
import pytest
from conformance.conftest import eventually, refused

SCHEMA = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "required": ["size"],
            "properties": {
                "size": {"type": "integer", "minimum": 1, "maximum": 9},
                "mode": {"type": "string", "enum": ["slow", "fast"], "default": "slow"},
                "names": {"type": "array", "items": {"type": "string", "pattern": "^[a-z]+$"}, "maxItems": 2},
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            },
        },
        "status": {
            "type": "object",
            "properties": {"replicas": {"type": "integer"}, "phase": {"type": "string"}},
        },
    },
}


@pytest.fixture
def gizmos(cluster, namespace):
    """A kind of this test's own, in a group named after its namespace: (client's arguments, group)."""
    group = f"{namespace}.example.com"
    extensions = kubernetes.client.ApiextensionsV1Api(cluster.client)
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": SCHEMA},
        "subresources": {
            "status": {},
            "scale": {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.replicas"},
        },
        "additionalPrinterColumns": [
            {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
            {"name": "Mode", "type": "string", "jsonPath": ".spec.mode"},
        ],
    }
    names = {"plural": "gizmos", "kind": "Gizmo", "shortNames": ["gz"]}
    spec = {"group": group, "scope": "Namespaced", "names": names, "versions": [version]}
    name = f"gizmos.{group}"
    extensions.create_custom_resource_definition({"metadata": {"name": name}, "spec": spec})

    def established():
        conditions = extensions.read_custom_resource_definition(name).status.conditions or ()
        return {one.type: one.status for one in conditions}.get("Established") == "True"

    eventually(established)
    objects = kubernetes.client.CustomObjectsApi(cluster.client)
    where = (group, "v1", namespace, "gizmos")
    eventually(lambda: _is_served(objects, where))
    yield objects, where
    extensions.delete_custom_resource_definition(name)


def _is_served(objects, where):
    try:
        return objects.list_namespaced_custom_object(*where) is not None
    except kubernetes.client.ApiException as error:
        if error.status != 404:
            raise
        return False


def gizmo(where, name="g", **spec):
    """One of them."""
    return {
        "apiVersion": f"{where[0]}/v1",
        "kind": "Gizmo",
        "metadata": {"name": name},
        "spec": {"size": 1, **spec},
    }


def test_an_object_of_a_new_kind(gizmos):
    objects, where = gizmos
    made = objects.create_namespaced_custom_object(*where, gizmo(where, colour="red", free={"a": {"b": 1}}))
    assert made["spec"] == {"size": 1, "mode": "slow", "free": {"a": {"b": 1}}}
    assert made["metadata"]["generation"] == 1
    said = refused(409, objects.create_namespaced_custom_object, *where, gizmo(where))
    assert said["message"] == f'gizmos.{where[0]} "g" already exists'


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"size": 0}, "spec.size in body should be greater than or equal to 1"),
        ({"size": 10}, "spec.size in body should be less than or equal to 9"),
        ({"size": "1"}, 'spec.size in body must be of type integer: "string"'),
        ({"mode": "odd"}, 'spec.mode: Unsupported value: "odd": supported values: "slow", "fast"'),
        ({"names": ["a", "b", "c"]}, "spec.names"),
        ({"names": ["A"]}, "in body should match '^[a-z]+$'"),
        ({"size": None}, "spec.size"),
    ],
)
def test_what_its_schema_refuses(gizmos, spec, words):
    objects, where = gizmos
    body = gizmo(where, **spec)
    if spec.get("size", 1) is None:
        del body["spec"]["size"]
    said = refused(422, objects.create_namespaced_custom_object, *where, body)
    assert said["message"].startswith(f'Gizmo.{where[0]} "g" is invalid: ')
    assert words in said["message"]


def test_its_status_and_its_scale(gizmos):
    objects, where = gizmos
    objects.create_namespaced_custom_object(*where, gizmo(where))
    patch = {"status": {"phase": "Ready", "replicas": 1}}
    assert "status" not in objects.patch_namespaced_custom_object(*where, "g", patch)
    assert objects.patch_namespaced_custom_object_status(*where, "g", patch)["status"]["phase"] == "Ready"
    scale = objects.get_namespaced_custom_object_scale(*where, "g")
    assert (scale["spec"]["replicas"], scale["status"]["replicas"]) == (1, 1)
    objects.patch_namespaced_custom_object_scale(*where, "g", {"spec": {"replicas": 3}})
    found = objects.get_namespaced_custom_object(*where, "g")
    assert (found["spec"]["size"], found["metadata"]["generation"]) == (3, 2)


def test_kubectl_knows_it(gizmos, kubectl):
    objects, where = gizmos
    objects.create_namespaced_custom_object(*where, gizmo(where, mode="fast"))
    heads, rows = kubectl.table(f"gizmos.{where[0]}")
    assert heads == ["NAME", "SIZE", "MODE"]
    assert rows == [["g", "1", "fast"]]
    assert kubectl("scale", f"gizmos.{where[0]}/g", "--replicas=2").endswith("/g scaled")
    assert kubectl("delete", f"gizmos.{where[0]}", "g").startswith(f'gizmo.{where[0]} "g" deleted')


def test_a_kind_s_objects_go_with_it(cluster, gizmos, core, namespace):
    objects, where = gizmos
    objects.create_namespaced_custom_object(*where, gizmo(where))
    extensions = kubernetes.client.ApiextensionsV1Api(cluster.client)
    spec = extensions.read_custom_resource_definition(f"gizmos.{where[0]}").spec
    extensions.delete_custom_resource_definition(f"gizmos.{where[0]}")
    eventually(lambda: not _is_served(objects, where))
    again = {"metadata": {"name": f"gizmos.{where[0]}"}, "spec": spec}
    eventually(lambda: _created(extensions, again))
    eventually(lambda: _is_served(objects, where))
    assert objects.list_namespaced_custom_object(*where)["items"] == []


def _created(extensions, body):
    try:
        extensions.create_custom_resource_definition(body)
    except kubernetes.client.ApiException as error:
        if error.status != 409:
            raise
        return False
    return True


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"scope": "Everywhere"}, 'spec.scope: Unsupported value: "Everywhere"'),
        ({"group": "other.example.com"}, 'must be spec.names.plural+"."+spec.group'),
        ({"versions": [{"name": "v1", "served": True, "storage": False, "schema": {"openAPIV3Schema": SCHEMA}}]},
         "must have exactly one version marked as storage version"),
        ({"versions": [{"name": "v1", "served": True, "storage": True}]}, "schemas are required"),
    ],
)  # fmt: skip
def test_definitions_that_can_t_be(cluster, change, words):
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": SCHEMA}}
    names = {"plural": "odds", "kind": "Odd"}
    spec = {
        "group": "bad.example.com",
        "scope": "Namespaced",
        "names": names,
        "versions": [version],
        **change,
    }
    extensions = kubernetes.client.ApiextensionsV1Api(cluster.client)
    body = {"metadata": {"name": "odds.bad.example.com"}, "spec": spec}
    assert words in refused(422, extensions.create_custom_resource_definition, body)["message"]
