"""Which node a pod gets, or why it gets none."""

from __future__ import annotations

import json
import re

import kubernetes.client
import pytest
from conformance.conftest import eventually, refused
from conformance.manifests import deployment, job, pod


def reason(core, namespace, name="p"):
    """Why a pod has no node, in the scheduler's words."""

    def look():
        found = core.read_namespaced_pod(name, namespace)
        for one in found.status.conditions or ():
            if (one.type, one.status, one.reason) == ("PodScheduled", "False", "Unschedulable"):
                return one.message
        return None

    return eventually(look)


@pytest.fixture
def node(core, namespace):
    """A node's name, in a label of its own; the label, taints and offers are taken back."""
    name = core.list_node().items[0].metadata.name
    core.patch_node(name, {"metadata": {"labels": {namespace: "yes"}}})
    yield name
    core.patch_node(
        name, {"metadata": {"labels": {namespace: None}}, "spec": {"taints": None, "unschedulable": None}}
    )


def here(namespace):
    """A pod's spec that wants that node."""
    return {"nodeSelector": {namespace: "yes"}}


def running(core, namespace, name="p"):
    return eventually(
        lambda: (p := core.read_namespaced_pod(name, namespace)).status.phase == "Running" and p, 60
    )


def test_a_node_by_its_label(cluster, core, namespace, node):
    core.create_namespaced_pod(namespace, pod(cluster.image, spec=here(namespace)))
    found = running(core, namespace)
    assert found.spec.node_name == node
    assert {one.type: one.status for one in found.status.conditions}["PodScheduled"] == "True"


def test_no_node_has_the_label(cluster, core, namespace, event_reasons):
    core.create_namespaced_pod(namespace, pod(cluster.image, spec={"nodeSelector": {"disk": "fast"}}))
    said = reason(core, namespace)
    assert re.match(
        r"0/\d+ nodes are available: \d+ node\(s\) didn't match (Pod's )?node affinity(/selector)?", said
    )
    eventually(lambda: "FailedScheduling" in event_reasons())


def test_a_label_that_comes_later(cluster, core, namespace, node):
    core.create_namespaced_pod(
        namespace, pod(cluster.image, spec={"nodeSelector": {f"{namespace}-late": "yes"}})
    )
    reason(core, namespace)
    core.patch_node(node, {"metadata": {"labels": {f"{namespace}-late": "yes"}}})
    try:
        assert running(core, namespace).spec.node_name == node
    finally:
        core.patch_node(node, {"metadata": {"labels": {f"{namespace}-late": None}}})


def test_too_much_is_asked_for(cluster, core, namespace):
    resources = {"requests": {"cpu": "500", "memory": "5000Gi"}}
    core.create_namespaced_pod(namespace, pod(cluster.image, resources=resources))
    said = reason(core, namespace)
    assert "Insufficient cpu" in said
    assert "Insufficient memory" in said


def test_a_gpu_that_is_not_there_and_then_is(cluster, core, batch, namespace, node):
    gpu = f"{namespace}.example.com/gpu"
    resources = {"limits": {gpu: "1"}}
    batch.create_namespaced_job(namespace, job(cluster.image, resources=resources, spec=here(namespace)))
    name = eventually(lambda: core.list_namespaced_pod(namespace).items)[0].metadata.name
    assert re.search(rf"\d+ Insufficient {re.escape(gpu)}", reason(core, namespace, name))
    offer = {"status": {"capacity": {gpu: "1"}, "allocatable": {gpu: "1"}}}
    core.patch_node_status(node, offer)
    try:
        eventually(lambda: batch.read_namespaced_job("work", namespace).status.succeeded == 1, 60)
    finally:
        core.patch_node_status(node, {"status": {"capacity": {gpu: None}, "allocatable": {gpu: None}}})


def test_a_second_pod_waits_for_the_gpu_of_the_first(cluster, core, namespace, node):
    gpu = f"{namespace}.example.com/gpu"
    offer = {"status": {"capacity": {gpu: "1"}, "allocatable": {gpu: "1"}}}
    core.patch_node_status(node, offer)
    # A kubelet tells of what it has every few seconds; the offer stays, as it does from a device plugin.
    eventually(lambda: gpu in core.read_node(node).status.allocatable)
    try:
        for name in "pq":
            body = pod(cluster.image, name=name, resources={"limits": {gpu: "1"}}, spec=here(namespace))
            core.create_namespaced_pod(namespace, body)
            if name == "p":
                running(core, namespace)
        assert f"Insufficient {gpu}" in reason(core, namespace, "q")
        core.delete_namespaced_pod("p", namespace)
        running(core, namespace, "q")
    finally:
        core.patch_node_status(node, {"status": {"capacity": {gpu: None}, "allocatable": {gpu: None}}})


def test_taints_and_tolerations(cluster, core, namespace, node):
    core.patch_node(node, {"spec": {"taints": [{"key": namespace, "value": "x", "effect": "NoSchedule"}]}})
    core.create_namespaced_pod(namespace, pod(cluster.image, spec=here(namespace)))
    said = reason(core, namespace)
    assert re.search(rf"node\(s\) had (untolerated )?taint {{{namespace}: x}}", said)
    tolerations = [{"key": namespace, "operator": "Equal", "value": "x", "effect": "NoSchedule"}]
    body = pod(cluster.image, name="q", spec={**here(namespace), "tolerations": tolerations})
    core.create_namespaced_pod(namespace, body)
    assert running(core, namespace, "q").spec.node_name == node
    core.patch_node(node, {"spec": {"taints": None}})
    running(core, namespace)


def test_cordon_and_uncordon(cluster, core, namespace, node, kubectl):
    assert kubectl("cordon", node) == f"node/{node} cordoned"
    core.create_namespaced_pod(namespace, pod(cluster.image, spec=here(namespace)))
    assert "node(s) were unschedulable" in reason(core, namespace)
    assert "SchedulingDisabled" in kubectl("get", "node", node)
    assert kubectl("uncordon", node) == f"node/{node} uncordoned"
    assert running(core, namespace).spec.node_name == node


def test_bound_by_hand(cluster, core, namespace, node):
    core.create_namespaced_pod(namespace, pod(cluster.image, spec={"schedulerName": "nobody"}))
    assert core.read_namespaced_pod("p", namespace).spec.node_name is None
    path = f"/api/v1/namespaces/{namespace}/pods/p/binding"
    body = {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": "p"},
        "target": {"kind": "Node", "name": node},
    }
    assert cluster.raw("POST", path, json.dumps(body).encode())[0] == 201
    assert running(core, namespace).spec.node_name == node
    assert cluster.raw("POST", path, json.dumps(body).encode())[0] == 409


def test_pods_run_in_the_order_of_their_lives(cluster, core, namespace):
    core.create_namespaced_pod(namespace, pod(cluster.image, ready_after=1))
    seen = []

    def look():
        found = core.read_namespaced_pod("p", namespace)
        ready = any((one.type, one.status) == ("Ready", "True") for one in found.status.conditions or ())
        state = (found.status.phase, ready)
        if not seen or seen[-1] != state:
            seen.append(state)
        return ready

    eventually(look, 60)
    assert [one for one in seen if one != ("Pending", False)] == [("Running", False), ("Running", True)]


@pytest.mark.parametrize(("policy", "code", "phase"), [("Never", 0, "Succeeded"), ("Never", 4, "Failed")])
def test_how_a_pod_ends(cluster, core, namespace, policy, code, phase):
    core.create_namespaced_pod(namespace, pod(cluster.image, policy=policy, runs=0.2, exit_code=code))
    eventually(lambda: core.read_namespaced_pod("p", namespace).status.phase == phase, 60)
    ended = core.read_namespaced_pod("p", namespace).status.container_statuses[0].state.terminated
    assert (ended.exit_code, ended.reason) == (code, "Completed" if code == 0 else "Error")


def test_a_pod_is_ended_gracefully(cluster, core, namespace):
    core.create_namespaced_pod(namespace, pod(cluster.image))
    running(core, namespace)
    core.delete_namespaced_pod("p", namespace, grace_period_seconds=1)
    eventually(lambda: not core.list_namespaced_pod(namespace).items)


def test_a_pod_is_forgotten_at_once_when_forced(cluster, core, namespace):
    core.create_namespaced_pod(namespace, pod(cluster.image))
    running(core, namespace)
    core.delete_namespaced_pod("p", namespace, grace_period_seconds=0)
    refused(404, core.read_namespaced_pod, "p", namespace)


# ---- budgets and evictions -----------------------------------------------------------------------------------


@pytest.fixture
def guarded(cluster, core, apps, namespace):
    """Two ready pods, of which one may be missing."""
    policy = kubernetes.client.PolicyV1Api(cluster.client)
    apps.create_namespaced_deployment(namespace, deployment(cluster.image, replicas=2))
    spec = {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}}
    policy.create_namespaced_pod_disruption_budget(namespace, {"metadata": {"name": "b"}, "spec": spec})

    def status():
        return policy.read_namespaced_pod_disruption_budget_status("b", namespace).status

    eventually(lambda: status() and status().disruptions_allowed == 1, 60)
    return status


def evict(core, namespace, name):
    """Ask for a pod to be evicted."""
    metadata = {"name": name, "namespace": namespace}
    return core.create_namespaced_pod_eviction(name, namespace, {"metadata": metadata})


@pytest.mark.since(22)
def test_a_budget_counts(guarded):
    found = guarded()
    assert (found.current_healthy, found.desired_healthy, found.expected_pods) == (2, 1, 2)


@pytest.mark.since(22)
def test_a_budget_holds_the_second_eviction_back(guarded, core, namespace):
    first, second = (one.metadata.name for one in core.list_namespaced_pod(namespace).items)
    evict(core, namespace, first)
    said = refused(429, evict, core, namespace, second)
    assert said["reason"] == "TooManyRequests"
    assert said["message"] == "Cannot evict pod as it would violate the pod's disruption budget."
    assert said["details"]["causes"][0]["reason"] == "DisruptionBudget"
    eventually(lambda: guarded().disruptions_allowed == 1, 60)


def test_drain(cluster, core, apps, namespace, node, kubectl):
    apps.create_namespaced_deployment(namespace, deployment(cluster.image, spec=here(namespace)))
    old = eventually(
        lambda: core.list_namespaced_pod(namespace, field_selector="status.phase=Running").items, 60
    )
    selector = "app=web"
    said = kubectl(
        "drain", node, f"--pod-selector={selector}", "--force", "--ignore-daemonsets", "--timeout=40s"
    )
    assert f"node/{node} drained" in said
    names = {one.metadata.name for one in core.list_namespaced_pod(namespace).items}
    assert old[0].metadata.name not in names
    kubectl("uncordon", node)
