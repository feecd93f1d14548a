"""What people type and what is printed then."""

from __future__ import annotations

import json
import re

import pytest
from conformance.conftest import eventually
from conformance.manifests import configmap, deployment, job, pod


def test_apply_says_what_it_did(kubectl):
    body = configmap(data={"x": "1", "y": "2"})
    assert kubectl.apply(body) == "configmap/a created"
    assert kubectl.apply(body) == "configmap/a unchanged"
    body["data"] = {"x": "3"}
    assert kubectl.apply(body) == "configmap/a configured"
    assert kubectl.get("configmap", "a")["data"] == {"x": "3"}


def test_apply_leaves_alone_what_others_set(kubectl, cluster):
    body = deployment(cluster.image, replicas=0)
    del body["spec"]["replicas"]
    kubectl.apply(body)
    kubectl("scale", "deployment/web", "--replicas=0")
    body["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "A", "value": "1"}]
    kubectl.apply(body)
    spec = kubectl.get("deployment", "web")["spec"]
    assert spec["replicas"] == 0
    assert spec["template"]["spec"]["containers"][0]["env"] == [{"name": "A", "value": "1"}]
    del body["spec"]["template"]["spec"]["containers"][0]["env"]
    kubectl.apply(body)
    assert "env" not in kubectl.get("deployment", "web")["spec"]["template"]["spec"]["containers"][0]


def test_diff(kubectl):
    kubectl.apply(configmap())
    done = kubectl.run("diff", "-f", "-", stdin=json.dumps(configmap(data={"x": "2"})))
    assert done.returncode == 1
    assert '-  x: "1"' in done.stdout
    assert '+  x: "2"' in done.stdout


def test_apply_of_a_misspelt_field(kubectl, cluster):
    body = deployment(cluster.image, replicas=0)
    body["spec"]["replicaz"] = 1
    said = kubectl.refused("apply", "-f", "-", stdin=json.dumps(body))
    assert re.search(r'unknown field "(spec\.)?replicaz"', said)


def test_replace_and_create(kubectl):
    text = json.dumps(configmap())
    assert "not found" in kubectl.refused("replace", "-f", "-", stdin=text)
    assert kubectl("create", "-f", "-", stdin=text) == "configmap/a created"
    assert "AlreadyExists" in kubectl.refused("create", "-f", "-", stdin=text)
    assert kubectl("replace", "-f", "-", stdin=text) == "configmap/a replaced"


def test_several_at_once(kubectl):
    text = "\n---\n".join(json.dumps(configmap(name)) for name in "abc")
    assert kubectl("apply", "-f", "-", stdin=text).splitlines() == [
        f"configmap/{name} created" for name in "abc"
    ]
    kubectl("delete", "-f", "-", stdin=text)
    assert not {"configmap/a", "configmap/b"} & set(kubectl("get", "configmaps", "-o", "name").split())


# ---- what is printed ------------------------------------------------------------------------------------------


def test_pods(kubectl, cluster, core, namespace):
    core.create_namespaced_pod(namespace, pod(cluster.image))
    kubectl.until("condition=Ready", "pod/p")
    heads, ((name, ready, status, restarts, _),) = kubectl.table("pods")
    assert heads == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert (name, ready, status, restarts) == ("p", "1/1", "Running", "0")
    heads, (row,) = kubectl.table("pods", "-o", "wide")
    assert heads[5:] == ["IP", "NODE", "NOMINATED NODE", "READINESS GATES"]
    assert row[5] == core.read_namespaced_pod("p", namespace).status.pod_ip


@pytest.mark.parametrize(("code", "word"), [(0, "Completed"), (3, "Error")])
def test_the_word_for_how_a_pod_ended(kubectl, cluster, core, namespace, code, word):
    core.create_namespaced_pod(namespace, pod(cluster.image, policy="Never", runs=0.1, exit_code=code))
    eventually(lambda: kubectl.table("pods")[1][0][2] == word)
    assert kubectl.table("pods")[1][0][1] == "0/1"


def test_a_pod_that_waits(kubectl, cluster, core, namespace):
    core.create_namespaced_pod(namespace, pod(cluster.image, spec={"nodeSelector": {"no": "node"}}))
    assert kubectl.table("pods")[1][0][:4] == ["p", "0/1", "Pending", "0"]


def test_deployments_and_their_sets(kubectl, cluster, apps, namespace):
    apps.create_namespaced_deployment(namespace, deployment(cluster.image, replicas=2))
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    heads, (row,) = kubectl.table("deployments", "-o", "wide")
    assert heads == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE", "CONTAINERS", "IMAGES", "SELECTOR"]
    assert (row[:4], row[5:]) == (["web", "2/2", "2", "2"], ["c", cluster.image, "app=web"])
    heads, (row,) = kubectl.table("replicasets")
    assert heads == ["NAME", "DESIRED", "CURRENT", "READY", "AGE"]
    assert row[1:4] == ["2", "2", "2"]


def test_services(kubectl):
    kubectl("create", "service", "clusterip", "web", "--tcp=80:8080")
    heads, (row,) = kubectl.table("services")
    assert heads == ["NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE"]
    assert (row[0], row[1], row[3], row[4]) == ("web", "ClusterIP", "<none>", "80/TCP")


def test_jobs(kubectl, cluster, batch, namespace):
    batch.create_namespaced_job(namespace, job(cluster.image, more={"completions": 2}))
    kubectl.until("condition=complete", "job/work", 60)
    heads, (row,) = kubectl.table("jobs")
    # STATUS came with 1.31.
    assert [head for head in heads if head != "STATUS"] == ["NAME", "COMPLETIONS", "DURATION", "AGE"]
    assert row[0] == "work"
    assert row[heads.index("COMPLETIONS")] == "2/2"
    assert re.fullmatch(r"\d+s", row[heads.index("DURATION")])


def test_nodes(kubectl):
    heads, rows = kubectl.table("nodes")
    assert heads == ["NAME", "STATUS", "ROLES", "AGE", "VERSION"]
    assert rows[0][1] == "Ready"
    heads, _ = kubectl.table("nodes", "-o", "wide")
    assert heads[5:] == ["INTERNAL-IP", "EXTERNAL-IP", "OS-IMAGE", "KERNEL-VERSION", "CONTAINER-RUNTIME"]


def test_namespaces(kubectl, namespace):
    heads, rows = kubectl.table("namespaces")
    assert heads == ["NAME", "STATUS", "AGE"]
    assert {row[0]: row[1] for row in rows}[namespace] == "Active"


def test_settings(kubectl):
    kubectl("create", "configmap", "c", "--from-literal=a=1", "--from-literal=b=2")
    kubectl("create", "secret", "generic", "s", "--from-literal=a=1")
    heads, rows = kubectl.table("configmap", "c")
    assert (heads, rows[0][:2]) == (["NAME", "DATA", "AGE"], ["c", "2"])
    heads, rows = kubectl.table("secret", "s")
    assert (heads, rows[0][:3]) == (["NAME", "TYPE", "DATA", "AGE"], ["s", "Opaque", "1"])


def test_events(kubectl, cluster, core, namespace):
    core.create_namespaced_pod(namespace, pod(cluster.image, spec={"nodeSelector": {"no": "node"}}))
    eventually(lambda: "FailedScheduling" in kubectl("get", "events"))
    heads, rows = kubectl.table("events")
    assert heads == ["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]
    assert rows[0][1:4] == ["Warning", "FailedScheduling", "pod/p"]


@pytest.mark.since(22)
def test_budgets(kubectl):
    kubectl("create", "poddisruptionbudget", "b", "--selector=app=web", "--min-available=1")
    heads, (row,) = kubectl.table("poddisruptionbudgets")
    assert heads == ["NAME", "MIN AVAILABLE", "MAX UNAVAILABLE", "ALLOWED DISRUPTIONS", "AGE"]
    assert row[:4] == ["b", "1", "N/A", "0"]


@pytest.mark.since(23)
def test_autoscalers(kubectl, cluster, apps, namespace):
    apps.create_namespaced_deployment(namespace, deployment(cluster.image, replicas=1))
    kubectl("autoscale", "deployment", "web", "--min=1", "--max=3", "--cpu=50%")
    heads, (row,) = kubectl.table("hpa")
    assert heads == ["NAME", "REFERENCE", "TARGETS", "MINPODS", "MAXPODS", "REPLICAS", "AGE"]
    assert row[:5] == ["web", "Deployment/web", "cpu: <unknown>/50%", "1", "3"]


def test_all(kubectl, cluster, apps, namespace):
    apps.create_namespaced_deployment(namespace, deployment(cluster.image))
    eventually(lambda: "pod/web-" in kubectl("get", "all", "-o", "name"))
    kinds = {line.split("/")[0] for line in kubectl("get", "all", "-o", "name").split()}
    assert {"pod", "deployment.apps", "replicaset.apps"} <= kinds


@pytest.mark.parametrize(
    ("form", "shown"),
    [
        ("name", "configmap/a"),
        ("jsonpath={.data.x}", "1"),
        ("custom-columns=NAME:.metadata.name,X:.data.x", "NAME   X\na      1"),
        ("go-template={{.data.x}}", "1"),
    ],
)
def test_forms(kubectl, form, shown):
    kubectl.apply(configmap())
    assert kubectl("get", "configmap", "a", "-o", form) == shown


def test_sorted_and_labelled(kubectl):
    for name, order in (("a", "2"), ("b", "1")):
        kubectl.apply(configmap(name, labels={"order": order}))
    heads, rows = kubectl.table(
        "configmaps", "-l", "order", "-L", "order", "--sort-by=.metadata.labels.order"
    )
    assert heads[-1] == "ORDER"
    assert [(row[0], row[-1]) for row in rows] == [("b", "1"), ("a", "2")]
    assert kubectl("get", "configmaps", "-l", "order=1", "--no-headers").split()[0] == "b"


def test_nothing_is_there(kubectl):
    done = kubectl.run("get", "pods")
    assert done.stderr.strip() == f"No resources found in {kubectl.namespace} namespace."


# ---- other commands ------------------------------------------------------------------------------------------


def test_describe(kubectl, cluster, apps, namespace):
    apps.create_namespaced_deployment(namespace, deployment(cluster.image))
    kubectl("rollout", "status", "deployment/web", "--timeout=60s")
    said = kubectl("describe", "deployment", "web")
    assert re.search(r"Replicas:\s+1 desired \| 1 updated \| 1 total \| 1 available \| 0 unavailable", said)
    assert re.search(r"ScalingReplicaSet .*Scaled up replica set web-\w+", said)
    name = kubectl("get", "pods", "-o", "jsonpath={.items[0].metadata.name}")
    said = kubectl("describe", "pod", name)
    assert re.search(r"Controlled By:\s+ReplicaSet/web-", said)
    assert re.search(r"Scheduled .*Successfully assigned", said)
    assert re.search(r"Allocated resources:", kubectl("describe", "node"))


@pytest.mark.since(24)
def test_explain(kubectl):
    assert "readinessProbe" in kubectl("explain", "pod.spec.containers")
    said = kubectl("explain", "deployment.spec.strategy.rollingUpdate.maxSurge")
    assert "FIELD: maxSurge" in said
    assert 'field "nothing" does not exist' in kubectl.refused("explain", "pod.spec.nothing")


def test_what_there_is(kubectl):
    names = set(kubectl("api-resources", "-o", "name").split())
    assert {
        "pods",
        "services",
        "deployments.apps",
        "jobs.batch",
        "horizontalpodautoscalers.autoscaling",
    } <= names
    assert {"v1", "apps/v1", "batch/v1"} <= set(kubectl("api-versions").split())
    assert "Server Version: v1." in kubectl("version")


def test_what_one_may_do(kubectl):
    assert kubectl("auth", "can-i", "create", "deployments") == "yes"


@pytest.mark.since(24)
def test_a_token(kubectl):
    assert len(kubectl("create", "token", "default")) > 20


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        (("create", "deployment", "x", "--image=i:1", "--replicas=0"), "deployment/x"),
        (("create", "job", "x", "--image=i:1"), "job/x"),
        (("create", "configmap", "x", "--from-literal=a=1"), "configmap/x"),
        (("create", "secret", "generic", "x", "--from-literal=a=1"), "secret/x"),
        (("create", "serviceaccount", "x"), "serviceaccount/x"),
        (("create", "service", "nodeport", "x", "--tcp=80"), "service/x"),
        (("run", "x", "--image=i:1"), "pod/x"),
    ],
)
def test_made_by_a_command(kubectl, arguments, kind):
    assert re.fullmatch(r"\S+/x created", kubectl(*arguments))
    assert kubectl.get(kind)["metadata"]["name"] == "x"


def test_expose_and_labels(kubectl):
    kubectl("create", "deployment", "web", "--image=i:1", "--replicas=0")
    assert kubectl("expose", "deployment", "web", "--port=80") == "service/web exposed"
    assert kubectl.get("service", "web")["spec"]["selector"] == {"app": "web"}
    assert kubectl("label", "service", "web", "tier=front") == "service/web labeled"
    assert "already has a value" in kubectl.refused("label", "service", "web", "tier=back")
    kubectl("label", "service", "web", "tier-")
    assert kubectl("annotate", "service", "web", "note=x") == "service/web annotated"
    metadata = kubectl.get("service", "web")["metadata"]
    assert metadata["labels"] == {"app": "web"}
    assert metadata["annotations"] == {"note": "x"}


def test_set(kubectl):
    kubectl("create", "deployment", "web", "--image=i:1", "--replicas=0")
    kubectl("set", "image", "deployment/web", "i=i:2")
    kubectl("set", "env", "deployment/web", "A=1")
    kubectl("set", "resources", "deployment/web", "--requests=cpu=100m", "--limits=cpu=1")
    (container,) = kubectl.get("deployment", "web")["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "i:2"
    assert container["env"] == [{"name": "A", "value": "1"}]
    assert container["resources"] == {"requests": {"cpu": "100m"}, "limits": {"cpu": "1"}}


@pytest.mark.parametrize(
    ("kind", "patch"),
    [
        ("strategic", '{"spec":{"replicas":0,"minReadySeconds":2}}'),
        ("merge", '{"spec":{"minReadySeconds":2}}'),
        ("json", '[{"op":"add","path":"/spec/minReadySeconds","value":2}]'),
    ],
)
def test_patch(kubectl, kind, patch):
    kubectl("create", "deployment", "web", "--image=i:1", "--replicas=0")
    assert (
        kubectl("patch", "deployment", "web", f"--type={kind}", "-p", patch) == "deployment.apps/web patched"
    )
    assert kubectl.get("deployment", "web")["spec"]["minReadySeconds"] == 2
    assert "(no change)" in kubectl("patch", "deployment", "web", f"--type={kind}", "-p", patch)


def test_scale_if(kubectl):
    kubectl("create", "deployment", "web", "--image=i:1", "--replicas=0")
    said = kubectl.refused("scale", "deployment/web", "--current-replicas=3", "--replicas=1")
    assert "Expected replicas to be 3, was 0" in said
    assert (
        kubectl("scale", "deployment/web", "--current-replicas=0", "--replicas=0")
        == "deployment.apps/web scaled"
    )


def test_wait(kubectl):
    kubectl.apply(configmap())
    kubectl("wait", "--for=jsonpath={.data.x}=1", "configmap/a", "--timeout=5s")
    said = kubectl.refused("wait", "--for=jsonpath={.data.x}=2", "configmap/a", "--timeout=1s")
    assert "timed out waiting for the condition" in said
    kubectl("delete", "configmap", "a")
    kubectl("wait", "--for=delete", "configmap/a", "--timeout=5s")


def test_delete(kubectl):
    for name in "ab":
        kubectl.apply(configmap(name, labels={"what": "go"}))
    assert "deleted" in kubectl("delete", "configmaps", "-l", "what=go")
    assert kubectl("delete", "configmap", "a", "--ignore-not-found") == ""
    assert 'configmaps "a" not found' in kubectl.refused("delete", "configmap", "a")


def test_dry_run(kubectl):
    body = json.dumps(configmap())
    assert (
        kubectl("apply", "--dry-run=server", "-f", "-", stdin=body) == "configmap/a created (server dry run)"
    )
    assert "not found" in kubectl.refused("get", "configmap", "a")
