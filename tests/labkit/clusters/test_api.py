from __future__ import annotations

import pytest

from labkit.clusters.embedded.errors import ApiError
from labkit.clusters.embedded.resources import built_in

MAPS = built_in("configmaps")
CRDS = built_in("customresourcedefinitions.apiextensions.k8s.io")
DEPLOYMENTS = built_in("deployments.apps")


def deployment(**spec):
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}}
    selector = {"matchLabels": {"a": "b"}}
    return {"metadata": {"name": "web"}, "spec": {"selector": selector, "template": template, **spec}}


def refused(code, call, *arguments, **named):
    with pytest.raises(ApiError) as error:
        call(*arguments, **named)
    assert error.value.code == code
    return error.value


def test_unknown_fields(api):
    said = refused(400, api.create, DEPLOYMENTS, "default", deployment(replicaz=3), strict="Strict")
    assert said.message == (
        'Deployment in version "v1" cannot be handled as a Deployment: '
        'strict decoding error: unknown field "spec.replicaz"'
    )
    made, warned = api.create(DEPLOYMENTS, "default", deployment(replicaz=3), strict="Warn")
    assert warned == ['unknown field "spec.replicaz"']
    assert "replicaz" not in made.object["spec"]


def test_wrong_types(api):
    said = refused(400, api.create, DEPLOYMENTS, "default", deployment(replicas="3"))
    assert (
        "cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32"
        in said.message
    )


def test_what_is_filled_in(api):
    spec = api.create(DEPLOYMENTS, "default", deployment())[0].object["spec"]
    assert spec["replicas"] == 1
    assert spec["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"},
    }
    assert spec["template"]["spec"]["containers"][0]["imagePullPolicy"] == "IfNotPresent"


def test_generations_count_changes_of_what_is_asked_for(api):
    api.create(DEPLOYMENTS, "default", deployment())
    api.patch(DEPLOYMENTS, "default", "web", {"metadata": {"labels": {"x": "y"}}})
    assert api.find("deployments.apps", "default", "web")["metadata"]["generation"] == 1
    api.patch(DEPLOYMENTS, "default", "web", {"spec": {"replicas": 2}})
    api.patch(DEPLOYMENTS, "default", "web", {"status": {"replicas": 2}}, status=True)
    thing = api.find("deployments.apps", "default", "web")
    assert thing["metadata"]["generation"] == 2
    assert thing["status"] == {"replicas": 2}


def test_an_update_that_changes_nothing_keeps_the_revision(api):
    made, _ = api.create(MAPS, "default", {"metadata": {"name": "a"}, "data": {"x": "1"}})
    same, _ = api.update(MAPS, "default", "a", made.copy())
    assert same.revision == made.revision


def test_strategic_merge_patches_merge_lists_by_their_keys(api):
    api.create(DEPLOYMENTS, "default", deployment())
    patch = {
        "spec": {
            "template": {
                "spec": {
                    "containers": [
                        {"name": "c", "env": [{"name": "A", "value": "1"}]},
                        {"name": "d", "image": "j:2"},
                    ]
                }
            }
        }
    }
    api.patch(DEPLOYMENTS, "default", "web", patch, kind="strategic")
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "d", "$patch": "delete"}]}}}}
    thing = api.patch(DEPLOYMENTS, "default", "web", patch, kind="strategic")[0].object
    (container,) = thing["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "i:1"
    assert container["env"] == [{"name": "A", "value": "1"}]


def test_json_patches(api):
    api.create(MAPS, "default", {"metadata": {"name": "a"}, "data": {"x": "1"}})
    patch = [
        {"op": "test", "path": "/data/x", "value": "1"},
        {"op": "replace", "path": "/data/x", "value": "2"},
    ]
    assert api.patch(MAPS, "default", "a", patch, kind="json")[0].object["data"] == {"x": "2"}
    refused(422, api.patch, MAPS, "default", "a", patch, kind="json")


def test_finalizers_hold_an_object(api):
    api.create(MAPS, "default", {"metadata": {"name": "a", "finalizers": ["example.com/wait"]}})
    _, gone = api.delete(MAPS, "default", "a")
    assert not gone
    assert "deletionTimestamp" in api.find("configmaps", "default", "a")["metadata"]
    api.patch(MAPS, "default", "a", {"metadata": {"finalizers": None}})
    assert api.find("configmaps", "default", "a") is None


def test_dry_run_keeps_nothing(api):
    api.create(MAPS, "default", {"metadata": {"name": "a"}}, dry_run=True)
    assert api.find("configmaps", "default", "a") is None


def test_an_object_that_is_too_large(api):
    big = {"metadata": {"name": "a"}, "data": {"x": "y" * 1_100_000}}
    assert "Too long" in refused(422, api.create, MAPS, "default", big).message


def definition():
    schema = {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "required": ["size"],
                "properties": {
                    "size": {"type": "integer", "minimum": 1},
                    "mode": {"type": "string", "enum": ["a", "b"], "default": "a"},
                },
            }
        },
    }
    names = {"plural": "gizmos", "kind": "Gizmo"}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    spec = {"group": "example.com", "scope": "Namespaced", "names": names, "versions": [version]}
    return {"metadata": {"name": "gizmos.example.com"}, "spec": spec}


def test_custom_resources_are_validated_by_their_schema(api):
    api.create(CRDS, "", definition())
    gizmos = api.resources.find("example.com", "v1", "gizmos")
    made, _ = api.create(gizmos, "default", {"metadata": {"name": "g"}, "spec": {"size": 1, "colour": "red"}})
    assert made.object["spec"] == {"size": 1, "mode": "a"}
    said = refused(
        422, api.create, gizmos, "default", {"metadata": {"name": "h"}, "spec": {"size": "1", "mode": "c"}}
    )
    assert 'spec.size in body must be of type integer: "string"' in said.message
    assert 'spec.mode: Unsupported value: "c": supported values: "a", "b"' in said.message
    api.delete(CRDS, "", "gizmos.example.com")
    assert api.resources.find("example.com", "v1", "gizmos") is None
    assert api.find("gizmos.example.com", "default", "g") is None
