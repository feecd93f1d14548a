"""The course's own manifests: the seed's Job and Deployment, and those of the labs' reference answers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conformance.conftest import eventually
from conformance.manifests import GPU_NODE, MENDED_JOB, MENDED_SERVER
from kubernetes.client import ApiextensionsV1Api

from labkit.kubeflow.resources import install

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.usefixtures("embedded")
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


@pytest.mark.usefixtures("embedded")
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


@pytest.mark.usefixtures("embedded")
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


REFERENCES = [
    path
    for path in sorted((REPOSITORY / "autograder/rubrics").glob("week10_*/answers/*/reference/**/*.y*ml"))
    if re.search(r"^apiVersion:", path.read_text(), re.MULTILINE)  # a patch is no manifest
]


@pytest.fixture(scope="module")
def kubeflow(cluster):
    """The cluster knows Kubeflow's resources; definitions that it had not are taken away again."""
    new = install(cluster)
    definitions = ApiextensionsV1Api(cluster.client)

    def established():
        found = {one.metadata.name: one for one in definitions.list_custom_resource_definition().items}
        conditions = [found[name].status.conditions or () for name in new]
        return all(any((c.type, c.status) == ("Established", "True") for c in some) for some in conditions)

    eventually(established)
    yield
    for name in new:
        definitions.delete_custom_resource_definition(name)


@pytest.mark.usefixtures("kubeflow")
@pytest.mark.parametrize("path", REFERENCES, ids=lambda path: f"{path.parts[-3]}-{path.name}")
def test_the_labs_manifests_are_taken(cluster, kubectl, path):
    """As the server takes them, without keeping them; an old one may lack what a manifest is written in."""
    done = kubectl.run("apply", "--dry-run=server", "-f", str(path))
    lacks = ("no matches for kind", "could not find the requested resource", "unknown field")
    if cluster.minor < 24 and any(words in done.stderr for words in lacks):
        pytest.skip(done.stderr.strip().splitlines()[0])
    assert done.returncode == 0, done.stderr
