"""Waiting for a Deployment says why it is in vain; drains keep to budgets; a cluster that is gone is said so."""

from __future__ import annotations

import threading
import time
import uuid

import pytest

from labkit.clusters.drains import drain
from labkit.clusters.kubectl import Kubectl
from labkit.clusters.rollouts import wait_for_rollout
from labkit.errors import WorkbookError, WorkFault

from .conftest import IMAGE


@pytest.fixture
def space(cluster):
    """The labs' own kubectl, in a namespace that goes with the test."""
    kubectl = Kubectl(cluster.kubeconfig, f"rollouts-{uuid.uuid4().hex[:6]}")
    kubectl("create", "namespace", kubectl.namespace)
    yield kubectl
    kubectl("delete", "namespace", kubectl.namespace, "--timeout=60s")


def deployment(name, *, image=IMAGE, script="sleep 600", replicas=1):
    labels = {"app": name}
    container = {"name": "main", "image": image, "command": ["sh", "-c", script]}
    spec = {"containers": [container], "terminationGracePeriodSeconds": 0}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }


def budget(name, **allowed):
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": {"app": name}}, **allowed},
    }


def names(kubectl, app):
    return {pod["metadata"]["name"] for pod in kubectl.get("pods", f"--selector=app={app}")["items"]}


def test_it_waits_until_all_replicas_are_ready(space):
    said = []
    space.apply(deployment("fine", replicas=2))
    wait_for_rollout(space, "fine", say=said.append)
    assert space.get("deployment", "fine")["status"]["readyReplicas"] == 2
    assert said[0].endswith("of 2 replicas are ready")


def test_an_image_that_is_not_there_is_said_at_once(space):
    space.apply(deployment("lost", image="nobody/has-this:1"))
    began = time.monotonic()
    with pytest.raises(WorkFault, match=r"Pod lost-.*: \w*Image\w*: "):
        wait_for_rollout(space, "lost", seconds=60)
    assert time.monotonic() - began < 30


def test_a_container_that_crashes_again_and_again_is_said(space):
    thing = deployment("broken", script="exit 3")
    container = thing["spec"]["template"]["spec"]["containers"][0]
    container["readinessProbe"] = {"exec": {"command": ["false"]}, "periodSeconds": 1}
    space.apply(thing)
    with pytest.raises(WorkFault, match=r"was restarted \d times; it ended with code 3"):
        wait_for_rollout(space, "broken", seconds=60)


def test_what_finds_no_place_is_said_when_the_time_is_over(space):
    thing = deployment("large")
    container = thing["spec"]["template"]["spec"]["containers"][0]
    container["resources"] = {"requests": {"cpu": "1000"}}
    space.apply(thing)
    with pytest.raises(WorkFault, match="Insufficient cpu"):
        wait_for_rollout(space, "large", seconds=2)


def test_a_drain_takes_all_and_keeps_to_the_budget(space):
    space.apply([deployment("kept", replicas=3), budget("kept", minAvailable=2)])
    wait_for_rollout(space, "kept")
    before, fewest, ended = names(space, "kept"), [3], threading.Event()

    def watch():
        while not ended.wait(0.1):
            fewest.append(space.get("deployment", "kept")["status"].get("readyReplicas", 0))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        assert "3 pods evicted" in drain(space, "app=kept")
    finally:
        ended.set()
        thread.join()
    wait_for_rollout(space, "kept")
    assert not before & names(space, "kept")
    assert min(fewest) >= 2


def test_a_budget_that_allows_nothing_stops_a_drain(space):
    space.apply([deployment("stuck"), budget("stuck", maxUnavailable=0)])
    wait_for_rollout(space, "stuck")
    with pytest.raises(WorkFault, match=r"could not be evicted.*disruption budget"):
        drain(space, "app=stuck", seconds=1)


def test_a_cluster_that_is_gone_is_nobody_s_work(tmp_path):
    config = tmp_path / "config"
    config.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
        "clusters: [{name: c, cluster: {server: 'http://127.0.0.1:9'}}]\n"
        "contexts: [{name: c, context: {cluster: c}}]\n"
    )
    with pytest.raises(WorkbookError, match="The cluster does not answer") as told:
        Kubectl(config, "default")("get", "pods")
    assert not isinstance(told.value, WorkFault)
