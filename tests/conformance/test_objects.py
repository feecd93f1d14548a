"""Objects and what can be done with any of them, through the official Python client."""

from __future__ import annotations

import base64
import re

import pytest
from conformance.conftest import eventually, refused
from conformance.manifests import configmap, deployment, pod
from kubernetes.client.exceptions import ApiException


def gone(read, *arguments):
    """Whether there is no such object any more."""
    try:
        read(*arguments)
    except ApiException as error:
        return error.status == 404
    return False


def test_what_the_server_gives_a_new_object(core, namespace):
    made = core.create_namespaced_config_map(namespace, configmap(uid="mine", resourceVersion=None))
    assert len(made.metadata.uid) == 36
    assert made.metadata.creation_timestamp is not None
    assert int(made.metadata.resource_version) > 0
    assert made.metadata.namespace == namespace
    assert made.data == {"x": "1"}


def test_what_is_there_already(core, namespace):
    core.create_namespaced_config_map(namespace, configmap())
    said = refused(409, core.create_namespaced_config_map, namespace, configmap())
    assert said["reason"] == "AlreadyExists"
    assert said["message"] == 'configmaps "a" already exists'
    assert said["details"] == {"name": "a", "kind": "configmaps"}


def test_what_is_not_there(core, namespace):
    said = refused(404, core.read_namespaced_config_map, "nobody", namespace)
    assert said["reason"] == "NotFound"
    assert said["message"] == 'configmaps "nobody" not found'
    assert said["details"] == {"name": "nobody", "kind": "configmaps"}
    refused(404, core.delete_namespaced_config_map, "nobody", namespace)
    refused(404, core.patch_namespaced_config_map, "nobody", namespace, {"data": {}})


def test_generated_names(core, namespace):
    body = configmap()
    body["metadata"] = {"generateName": "run-"}
    names = {core.create_namespaced_config_map(namespace, body).metadata.name for _ in range(3)}
    assert len(names) == 3
    assert all(name.startswith("run-") and len(name) == 9 for name in names)


def test_a_stale_update(core, namespace):
    old = core.create_namespaced_config_map(namespace, configmap())
    core.patch_namespaced_config_map("a", namespace, {"data": {"x": "2"}})
    old.data = {"x": "3"}
    said = refused(409, core.replace_namespaced_config_map, "a", namespace, old)
    assert said["reason"] == "Conflict"
    assert said["message"] == (
        'Operation cannot be fulfilled on configmaps "a": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )


def test_an_update_without_a_version_wins(core, namespace):
    core.create_namespaced_config_map(namespace, configmap())
    core.replace_namespaced_config_map("a", namespace, configmap(data={"y": "2"}))
    assert core.read_namespaced_config_map("a", namespace).data == {"y": "2"}


def test_an_update_that_changes_nothing_keeps_the_version(core, namespace):
    made = core.create_namespaced_config_map(namespace, configmap())
    same = core.replace_namespaced_config_map("a", namespace, made)
    assert same.metadata.resource_version == made.metadata.resource_version


def test_a_patch_with_an_old_version_conflicts(core, namespace):
    made = core.create_namespaced_config_map(namespace, configmap())
    core.patch_namespaced_config_map("a", namespace, {"data": {"x": "2"}})
    patch = {"metadata": {"resourceVersion": made.metadata.resource_version}, "data": {"x": "3"}}
    assert refused(409, core.patch_namespaced_config_map, "a", namespace, patch)["reason"] == "Conflict"


def test_json_patch(core, namespace):
    core.create_namespaced_config_map(namespace, configmap())
    patch = [{"op": "test", "path": "/data/x", "value": "1"}, {"op": "add", "path": "/data/y", "value": "2"}]
    assert core.patch_namespaced_config_map("a", namespace, patch).data == {"x": "1", "y": "2"}


def test_a_json_patch_whose_test_fails_changes_nothing(core, namespace):
    core.create_namespaced_config_map(namespace, configmap())
    patch = [
        {"op": "replace", "path": "/data/x", "value": "2"},
        {"op": "test", "path": "/data/x", "value": "9"},
    ]
    refused(422, core.patch_namespaced_config_map, "a", namespace, patch)
    assert core.read_namespaced_config_map("a", namespace).data == {"x": "1"}


def _patch(cluster, namespace, kind, path, body):
    return cluster.raw(
        "PATCH", f"/{path.format(namespace)}", body.encode(), Content_Type=f"application/{kind}-patch+json"
    )


def test_merge_patch_takes_nulls_away(cluster, core, namespace):
    core.create_namespaced_config_map(namespace, configmap(data={"x": "1", "y": "2"}))
    path = "api/v1/namespaces/{}/configmaps/a"
    code, thing = _patch(cluster, namespace, "merge", path, '{"data":{"x":null,"z":"3"}}')
    assert (code, thing["data"]) == (200, {"y": "2", "z": "3"})


def test_strategic_merge_finds_containers_by_name(cluster, apps, namespace):
    apps.create_namespaced_deployment(namespace, deployment(cluster.image, replicas=0))
    path = "apis/apps/v1/namespaces/{}/deployments/web"
    patch = '{"spec":{"template":{"spec":{"containers":[{"name":"c","env":[{"name":"A","value":"1"}]}]}}}}'
    _, thing = _patch(cluster, namespace, "strategic-merge", path, patch)
    (container,) = thing["spec"]["template"]["spec"]["containers"]
    assert container["env"] == [{"name": "A", "value": "1"}]
    assert container["image"] == cluster.image
    patch = (
        '{"spec":{"template":{"spec":{"containers":[{"name":"c","env":[{"name":"A","$patch":"delete"}]}]}}}}'
    )
    _, thing = _patch(cluster, namespace, "strategic-merge", path, patch)
    assert not thing["spec"]["template"]["spec"]["containers"][0].get("env")


def test_merge_patch_replaces_lists(cluster, apps, namespace):
    apps.create_namespaced_deployment(namespace, deployment(cluster.image, replicas=0))
    path = "apis/apps/v1/namespaces/{}/deployments/web"
    patch = '{"spec":{"template":{"spec":{"containers":[{"name":"d","image":"i:1"}]}}}}'
    _, thing = _patch(cluster, namespace, "merge", path, patch)
    assert [one["name"] for one in thing["spec"]["template"]["spec"]["containers"]] == ["d"]


def test_strategic_patch_can_replace_a_map(cluster, core, namespace):
    core.create_namespaced_config_map(namespace, configmap(data={"x": "1", "y": "2"}))
    path = "api/v1/namespaces/{}/configmaps/a"
    _, thing = _patch(cluster, namespace, "strategic-merge", path, '{"data":{"$patch":"replace","z":"3"}}')
    assert thing["data"] == {"z": "3"}


def test_an_unknown_kind_of_patch(cluster, core, namespace):
    core.create_namespaced_config_map(namespace, configmap())
    code, said = _patch(cluster, namespace, "odd", "api/v1/namespaces/{}/configmaps/a", "{}")
    assert (code, said["reason"]) == (415, "UnsupportedMediaType")


def test_dry_run_keeps_nothing(core, namespace):
    made = core.create_namespaced_config_map(namespace, configmap(), dry_run="All")
    assert made.metadata.uid
    refused(404, core.read_namespaced_config_map, "a", namespace)
    core.create_namespaced_config_map(namespace, configmap())
    assert core.patch_namespaced_config_map("a", namespace, {"data": {"x": "2"}}, dry_run="All").data == {
        "x": "2"
    }
    core.delete_namespaced_config_map("a", namespace, dry_run="All")
    assert core.read_namespaced_config_map("a", namespace).data == {"x": "1"}


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("tier=a", "ac"),
        ("tier==a,run=1", "a"),
        ("tier!=a", "bd"),
        ("tier in (a,b)", "abc"),
        ("tier notin (a)", "bd"),
        ("run", "ab"),
        ("!run", "cd"),
        ("", "abcd"),
    ],
)
def test_label_selectors(core, namespace, selector, names):
    labels = {
        "a": {"tier": "a", "run": "1"},
        "b": {"tier": "b", "run": "2"},
        "c": {"tier": "a"},
        "d": {"x": "y"},
    }
    for name, given in labels.items():
        core.create_namespaced_config_map(namespace, configmap(name, labels=given))
    found = core.list_namespaced_config_map(namespace, label_selector=selector).items
    # Newer clusters put the authority's certificate into each namespace.
    assert "".join(one.metadata.name for one in found if one.metadata.name in labels) == names


def test_a_label_selector_that_can_t_be_read(core, namespace):
    said = refused(400, core.list_namespaced_config_map, namespace, label_selector="a in")
    assert said["reason"] == "BadRequest"
    assert "unable to parse requirement" in said["message"]


def test_field_selectors(core, cluster, namespace):
    for name in "ab":
        core.create_namespaced_config_map(namespace, configmap(name))
    found = core.list_namespaced_config_map(namespace, field_selector="metadata.name=b").items
    assert [one.metadata.name for one in found] == ["b"]
    core.create_namespaced_pod(namespace, pod(cluster.image))
    eventually(lambda: core.list_namespaced_pod(namespace, field_selector="status.phase=Running").items)
    assert not core.list_namespaced_pod(namespace, field_selector="status.phase!=Running").items
    node = core.read_namespaced_pod("p", namespace).spec.node_name
    assert len(core.list_namespaced_pod(namespace, field_selector=f"spec.nodeName={node}").items) == 1


def test_a_field_that_can_t_be_selected_by(core, namespace):
    said = refused(400, core.list_namespaced_config_map, namespace, field_selector="data.x=1")
    assert (
        '"data.x" is not a known field selector: only "metadata.name", "metadata.namespace"'
        in said["message"]
    )
    said = refused(400, core.list_namespaced_pod, namespace, field_selector="spec.image=x")
    assert "field label not supported: spec.image" in said["message"]


def test_lists_come_in_pages(core, namespace):
    for name in "abcde":
        core.create_namespaced_config_map(namespace, configmap(name, labels={"page": "yes"}))
    names, token, pages = [], None, 0
    while True:
        page = core.list_namespaced_config_map(namespace, limit=2, _continue=token)
        names += [one.metadata.name for one in page.items]
        pages += 1
        token = page.metadata._continue
        if not token:
            break
    assert [name for name in names if len(name) == 1] == list("abcde")
    assert pages == 3


def test_what_a_deletion_answers(core, namespace):
    made = core.create_namespaced_config_map(namespace, configmap())
    said = core.delete_namespaced_config_map("a", namespace)
    status = said if isinstance(said, dict) else said.to_dict()
    assert status["status"] == "Success"
    assert status["details"] == {"name": "a", "kind": "configmaps", "uid": made.metadata.uid}


def test_a_deletion_s_precondition(core, namespace):
    core.create_namespaced_config_map(namespace, configmap())
    body = {"preconditions": {"uid": "00000000-0000-0000-0000-000000000000"}}
    said = refused(409, core.delete_namespaced_config_map, "a", namespace, body=body)
    assert 'Operation cannot be fulfilled on ConfigMap "a": the UID in the precondition' in said["message"]


def test_a_collection_is_deleted_by_its_labels(core, namespace):
    for name, label in (("a", "go"), ("b", "go"), ("c", "stay")):
        core.create_namespaced_config_map(namespace, configmap(name, labels={"what": label}))
    core.delete_collection_namespaced_config_map(namespace, label_selector="what=go")
    left = core.list_namespaced_config_map(namespace, label_selector="what").items
    assert [one.metadata.name for one in left] == ["c"]


def test_a_finalizer_holds_an_object(core, namespace):
    core.create_namespaced_config_map(namespace, configmap(finalizers=["example.com/wait"]))
    held = core.delete_namespaced_config_map("a", namespace)
    assert held is not None
    going = core.read_namespaced_config_map("a", namespace)
    assert going.metadata.deletion_timestamp is not None
    core.patch_namespaced_config_map("a", namespace, {"metadata": {"finalizers": None}})
    refused(404, core.read_namespaced_config_map, "a", namespace)


def test_an_immutable_configmap(core, namespace):
    core.create_namespaced_config_map(namespace, {**configmap(), "immutable": True})
    said = refused(422, core.patch_namespaced_config_map, "a", namespace, {"data": {"x": "2"}})
    assert "data: Forbidden: field is immutable when `immutable` is set" in said["message"]


def test_a_secret_s_strings_are_encoded(core, namespace):
    core.create_namespaced_secret(namespace, {"metadata": {"name": "s"}, "stringData": {"key": "value"}})
    kept = core.read_namespaced_secret("s", namespace)
    assert (kept.type, base64.b64decode(kept.data["key"])) == ("Opaque", b"value")
    assert kept.string_data is None


def test_a_secret_s_type_never_changes(core, namespace):
    core.create_namespaced_secret(namespace, {"metadata": {"name": "s"}, "type": "Opaque"})
    said = refused(422, core.patch_namespaced_secret, "s", namespace, {"type": "example.com/x"})
    assert "type: Invalid value" in said["message"]
    assert "field is immutable" in said["message"]


def test_generations_count_changes_of_what_is_asked_for(cluster, apps, namespace):
    made = apps.create_namespaced_deployment(namespace, deployment(cluster.image, replicas=0))
    assert made.metadata.generation == 1
    labelled = apps.patch_namespaced_deployment("web", namespace, {"metadata": {"labels": {"a": "b"}}})
    assert labelled.metadata.generation == 1
    slower = apps.patch_namespaced_deployment("web", namespace, {"spec": {"minReadySeconds": 1}})
    assert slower.metadata.generation == 2
    eventually(lambda: apps.read_namespaced_deployment("web", namespace).status.observed_generation == 2)


def test_status_is_written_through_its_own_door(cluster, core, namespace):
    core.create_namespaced_service(namespace, {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}})
    path = f"/api/v1/namespaces/{namespace}/services/s"
    status = b'{"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.1"}]}}}'
    kind = {"Content_Type": "application/merge-patch+json"}
    _, thing = cluster.raw("PATCH", path, status, **kind)
    assert not thing["status"].get("loadBalancer")
    labels = b'{"metadata":{"labels":{"a":"b"}}}'
    _, thing = cluster.raw("PATCH", f"{path}/status", status, **kind)
    assert thing["status"]["loadBalancer"]["ingress"][0]["ip"] == "192.0.2.1"
    assert cluster.raw("PATCH", path, labels, **kind)[1]["status"] == thing["status"]


def _owned(core, namespace):
    owner = core.create_namespaced_config_map(namespace, configmap("owner"))
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner.metadata.uid}
    core.create_namespaced_config_map(
        namespace, configmap("child", ownerReferences=[{**reference, "blockOwnerDeletion": True}])
    )


def test_what_is_owned_goes_after_its_owner(core, namespace):
    _owned(core, namespace)
    core.delete_namespaced_config_map("owner", namespace, propagation_policy="Background")
    refused(404, core.read_namespaced_config_map, "owner", namespace)
    eventually(lambda: gone(core.read_namespaced_config_map, "child", namespace))


def test_what_is_owned_goes_before_its_owner(core, namespace):
    _owned(core, namespace)
    core.patch_namespaced_config_map("child", namespace, {"metadata": {"finalizers": ["example.com/wait"]}})
    core.delete_namespaced_config_map("owner", namespace, propagation_policy="Foreground")
    owner = core.read_namespaced_config_map("owner", namespace)
    assert owner.metadata.finalizers == ["foregroundDeletion"]
    eventually(lambda: core.read_namespaced_config_map("child", namespace).metadata.deletion_timestamp)
    core.patch_namespaced_config_map("child", namespace, {"metadata": {"finalizers": None}})
    eventually(lambda: gone(core.read_namespaced_config_map, "owner", namespace))


def test_what_is_owned_is_left_when_it_is_orphaned(core, namespace):
    _owned(core, namespace)
    core.delete_namespaced_config_map("owner", namespace, propagation_policy="Orphan")
    eventually(lambda: gone(core.read_namespaced_config_map, "owner", namespace))
    assert core.read_namespaced_config_map("child", namespace).metadata.owner_references is None


def test_what_an_owner_that_never_was_owns_goes(core, namespace):
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "nobody", "uid": "1-2-3"}
    core.create_namespaced_config_map(namespace, configmap(ownerReferences=[reference]))
    eventually(lambda: gone(core.read_namespaced_config_map, "a", namespace))


def test_a_namespace_takes_all_with_it(core, namespace):
    core.create_namespaced_config_map(namespace, configmap(finalizers=["example.com/wait"]))
    core.create_namespaced_secret(namespace, {"metadata": {"name": "s"}})
    core.delete_namespace(namespace)
    assert core.read_namespace(namespace).status.phase == "Terminating"
    said = refused(403, core.create_namespaced_config_map, namespace, configmap("late"))
    assert "because it is being terminated" in said["message"]
    eventually(lambda: gone(core.read_namespaced_secret, "s", namespace))
    core.patch_namespaced_config_map("a", namespace, {"metadata": {"finalizers": None}})
    eventually(lambda: gone(core.read_namespace, namespace))


def test_a_namespace_has_a_service_account(core, namespace):
    assert core.read_namespaced_service_account("default", namespace).metadata.name == "default"


# ---- requests that can't be answered -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "kind", "code"),
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"a: [", "application/yaml", 400),
        (b"k8s\x00\x0a\xff", "application/vnd.kubernetes.protobuf", 400),
        (b"x", "text/plain", 415),
        (b'{"kind":"Secret","apiVersion":"v1","metadata":{"name":"a"}}', "application/json", 400),
        (b'{"metadata":{"name":"a"},"data":{"x":1}}', "application/json", 400),
        (b'{"metadata":{"name":"a","namespace":"kube-system"}}', "application/json", 400),
    ],
)
def test_bodies_that_can_t_be_taken(cluster, namespace, body, kind, code):
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    got, said = cluster.raw("POST", path, body, Content_Type=kind)
    assert (got, said["kind"]) == (code, "Status")
    assert said["status"] == "Failure"


def test_a_wrong_token(cluster):
    code, said = cluster.raw("GET", "/api/v1/namespaces", Authorization="Bearer wrong")
    assert (code, said["reason"], said["message"]) == (401, "Unauthorized", "Unauthorized")


def test_a_path_that_is_not_there(cluster):
    code, said = cluster.raw("GET", "/apis/example.com/v1/gizmos")
    assert code == 404
    assert "could not find the requested resource" in str(said) or "404 page not found" in str(said)


def test_a_method_that_is_not_there(cluster, namespace):
    code, said = cluster.raw("DELETE", "/api/v1/namespaces")
    assert (code, said["reason"]) == (405, "MethodNotAllowed")


def test_an_object_of_more_than_a_megabyte(core, namespace):
    said = refused(422, core.create_namespaced_config_map, namespace, configmap(data={"x": "y" * 1_100_000}))
    assert re.search("Too long: (must have at most|may not be more than) 1048576 bytes", said["message"])


def test_a_body_that_is_too_large(cluster, core, namespace):
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    body = b'{"metadata":{"name":"a"},"data":{"x":"' + b"y" * 3_200_000 + b'"}}'
    assert cluster.raw("POST", path, body)[0] == 413


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        (
            {"name": "A_b"},
            'metadata.name: Invalid value: "A_b": a lowercase RFC 1123 subdomain must consist of',
        ),
        ({"name": "a" * 254}, "must be no more than 253 characters"),
        ({"name": ""}, "name or generateName is required"),
        (
            {"labels": {"a": "b c"}},
            "a valid label must be an empty string or consist of alphanumeric characters",
        ),
        ({"labels": {"a b": "c"}}, "name part must consist of alphanumeric characters"),
        ({"labels": {"a": "x" * 64}}, "must be no more than 63 characters"),
        ({"finalizers": ["bare"]}, "name is neither a standard finalizer name nor is it fully qualified"),
        (
            {"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": ""}]},
            "uid must not be empty",
        ),
    ],
)
def test_metadata_that_can_t_be(core, namespace, metadata, words):
    said = refused(422, core.create_namespaced_config_map, namespace, configmap(**metadata))
    assert said["reason"] == "Invalid"
    # An older server calls the same form a DNS-1123 subdomain.
    assert words in said["message"].replace("DNS-1123", "RFC 1123").replace("a RFC", "a lowercase RFC")
    assert said["details"]["causes"]
