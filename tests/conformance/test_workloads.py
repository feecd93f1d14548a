"""Workloads: what is made of them, and in which order."""

from __future__ import annotations

import json

import pytest
from conformance.manifests import GPU_NODE, MENDED_JOB, MENDED_SERVER

pytestmark = pytest.mark.usefixtures("embedded")


def test_a_job_waits_for_a_gpu_and_completes_when_a_node_has_one(kubectl):
    kubectl.apply(MENDED_JOB)
    kubectl("wait", "--for=jsonpath={.status.active}=1", "job/model-training", "--timeout=30s")
    kubectl(
        "wait", "--for=condition=PodScheduled=False", "pod", "-l", "job-name=model-training", "--timeout=30s"
    )
    pod = kubectl.get("pods")["items"][0]
    assert pod["status"]["phase"] == "Pending"
    assert "1 Insufficient nvidia.com/gpu" in pod["status"]["conditions"][0]["message"]
    events = {event["reason"] for event in kubectl.get("events")["items"]}
    assert {"FailedScheduling", "SuccessfulCreate"} <= events
    name = kubectl.namespace
    try:
        kubectl("create", "-f", "-", stdin=GPU_NODE.replace("NAME", name))
        kubectl.until("condition=complete", "job/model-training")
        assert kubectl.get("pods")["items"][0]["spec"]["nodeName"] == f"gpu-{name}"
    finally:
        kubectl("delete", "node", f"gpu-{name}", "--ignore-not-found")


def test_a_deployment_rolls_out_scales_and_goes_back(kubectl):
    kubectl.apply(MENDED_SERVER)
    kubectl("rollout", "status", "deployment/model-server", "--timeout=30s")
    first = kubectl.get("rs")["items"][0]["metadata"]["name"]
    kubectl("set", "image", "deployment/model-server", "model=model-serve:2")
    kubectl("rollout", "status", "deployment/model-server", "--timeout=30s")
    kubectl("rollout", "undo", "deployment/model-server")
    kubectl("rollout", "status", "deployment/model-server", "--timeout=30s")
    sets = {one["metadata"]["name"]: one["spec"]["replicas"] for one in kubectl.get("rs")["items"]}
    assert len(sets) == 2
    assert sets[first] == 3
    kubectl("scale", "deployment/model-server", "--replicas=5")
    kubectl("rollout", "status", "deployment/model-server", "--timeout=30s")
    assert kubectl.get("deployment", "model-server")["status"]["readyReplicas"] == 5
    history = kubectl("rollout", "history", "deployment/model-server").split()
    assert history[-4:] == ["2", "<none>", "3", "<none>"]


def test_indexed_job(kubectl):
    kubectl.apply(
        """
apiVersion: batch/v1
kind: Job
metadata: {name: ranks}
spec:
  completions: 3
  parallelism: 2
  completionMode: Indexed
  template:
    spec: {restartPolicy: Never, containers: [{name: c, image: i:1}]}
"""
    )
    kubectl.until("condition=complete", "job/ranks")
    assert kubectl.get("job", "ranks")["status"]["completedIndexes"] == "0-2"


def test_a_job_that_always_fails_is_given_up(kubectl):
    kubectl.apply(
        """
apiVersion: batch/v1
kind: Job
metadata: {name: fails}
spec:
  backoffLimit: 0
  template:
    metadata: {annotations: {simulated.workbook/exit-code: "3"}}
    spec: {restartPolicy: Never, containers: [{name: c, image: i:1}]}
"""
    )
    kubectl.until("condition=failed", "job/fails")
    conditions = kubectl.get("job", "fails")["status"]["conditions"]
    assert {one["reason"] for one in conditions} == {"BackoffLimitExceeded"}


def test_a_finished_job_is_cleaned_up(kubectl):
    kubectl.apply(
        """
apiVersion: batch/v1
kind: Job
metadata: {name: brief}
spec:
  ttlSecondsAfterFinished: 0
  template:
    spec: {restartPolicy: Never, containers: [{name: c, image: i:1}]}
"""
    )
    kubectl("wait", "--for=delete", "job/brief", "--timeout=30s")
    kubectl("wait", "--for=delete", "pod", "-l", "job-name=brief", "--timeout=30s")


def test_services_find_their_pods(kubectl):
    kubectl.apply(MENDED_SERVER)
    kubectl("expose", "deployment/model-server", "--port=80", "--target-port=8080")
    kubectl("rollout", "status", "deployment/model-server", "--timeout=30s")
    kubectl("wait", "--for=jsonpath={.subsets[0].addresses[2].ip}", "endpoints/model-server", "--timeout=30s")
    found = kubectl.get("endpoints", "model-server")["subsets"][0]
    pods = {pod["status"]["podIP"] for pod in kubectl.get("pods")["items"]}
    assert {one["ip"] for one in found["addresses"]} == pods
    assert found["ports"] == [{"port": 8080, "protocol": "TCP"}]


def test_a_disruption_budget_holds_evictions_back(kubectl):
    kubectl.apply(MENDED_SERVER)
    kubectl("create", "pdb", "keep", "--selector=app=model", "--min-available=3")
    kubectl("rollout", "status", "deployment/model-server", "--timeout=30s")
    kubectl("wait", "--for=jsonpath={.status.currentHealthy}=3", "pdb/keep", "--timeout=30s")
    pod = kubectl.get("pods")["items"][0]["metadata"]["name"]
    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod, "namespace": kubectl.namespace},
    }
    path = f"/api/v1/namespaces/{kubectl.namespace}/pods/{pod}/eviction"
    said = kubectl.refused("create", "--raw", path, "-f", "-", stdin=json.dumps(body))
    assert "Cannot evict pod as it would violate the pod's disruption budget." in said


def test_what_a_deployment_owns_goes_with_it(kubectl):
    kubectl.apply(MENDED_SERVER)
    kubectl("rollout", "status", "deployment/model-server", "--timeout=30s")
    kubectl("delete", "deployment", "model-server", "--cascade=foreground")
    assert kubectl.get("rs,pods")["items"] == []


def test_tables(kubectl):
    kubectl.apply(MENDED_SERVER)
    kubectl("rollout", "status", "deployment/model-server", "--timeout=30s")
    head, row = kubectl("get", "deployment").splitlines()
    assert head.split() == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"]
    assert row.split()[:4] == ["model-server", "3/3", "3", "3"]


def test_what_kubectl_sends_as_protobuf_is_what_it_reads_back(kubectl):
    kubectl("create", "deployment", "web", "--image=web:1", "--replicas=0")
    assert kubectl.get("deployment", "web")["spec"]["replicas"] == 0
    kubectl("set", "image", "deployment/web", "web=web:2")
    kubectl(
        "wait",
        "--for=jsonpath={.metadata.annotations.deployment\\.kubernetes\\.io/revision}=2",
        "deployment/web",
    )
    kubectl("rollout", "undo", "deployment/web")
    kubectl(
        "wait",
        "--for=jsonpath={.metadata.annotations.deployment\\.kubernetes\\.io/revision}=3",
        "deployment/web",
    )
    assert len(kubectl.get("rs")["items"]) == 2
