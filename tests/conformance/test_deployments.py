"""Deployments: what is made of them, in which order, and how far it has come."""

from __future__ import annotations

import time

import pytest
from conformance.conftest import eventually
from conformance.manifests import deployment

REVISION = "deployment.kubernetes.io/revision"


@pytest.fixture
def rollout(cluster, apps, namespace):
    """Makes a Deployment, and gives it when all of its replicas are available."""

    def make(**how):
        apps.create_namespaced_deployment(namespace, deployment(cluster.image, **how))
        return settled(apps, namespace)

    return make


def settled(apps, namespace, name="web"):
    """The Deployment, once it is as it was asked for."""

    def look():
        found = apps.read_namespaced_deployment(name, namespace)
        status, wanted = found.status, found.spec.replicas
        done = status.observed_generation == found.metadata.generation and (status.replicas or 0) == wanted
        done = (
            done and (status.updated_replicas or 0) == wanted and (status.available_replicas or 0) == wanted
        )
        return found if done else None

    return eventually(look, 60)


def sets(apps, namespace):
    """The ReplicaSets by the revision that they are of."""
    found = apps.list_namespaced_replica_set(namespace).items
    return {one.metadata.annotations[REVISION]: one for one in found}


def change(apps, namespace, **variables):
    """Change the pods' template, so that they are replaced."""
    env = [{"name": name, "value": value} for name, value in variables.items()]
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "c", "env": env}]}}}}
    apps.patch_namespaced_deployment("web", namespace, patch)


def conditions(thing):
    """Status and reason of each condition."""
    return {one.type: (one.status, one.reason) for one in thing.status.conditions or ()}


def test_what_a_deployment_makes(rollout, apps, core, namespace, event_reasons):
    found = rollout(replicas=2)
    (one,) = apps.list_namespaced_replica_set(namespace).items
    pods = core.list_namespaced_pod(namespace).items
    mark = one.metadata.labels["pod-template-hash"]
    assert one.metadata.name == f"web-{mark}"
    assert one.metadata.owner_references[0].uid == found.metadata.uid
    assert one.spec.selector.match_labels == {"app": "web", "pod-template-hash": mark}
    assert {pod.metadata.generate_name for pod in pods} == {f"web-{mark}-"}
    assert {pod.metadata.owner_references[0].name for pod in pods} == {one.metadata.name}
    assert {pod.metadata.labels["pod-template-hash"] for pod in pods} == {mark}
    eventually(lambda: {"ScalingReplicaSet", "SuccessfulCreate", "Scheduled", "Started"} <= event_reasons())


def test_its_conditions(rollout):
    assert conditions(rollout()) == {
        "Available": ("True", "MinimumReplicasAvailable"),
        "Progressing": ("True", "NewReplicaSetAvailable"),
    }


def test_the_words_of_its_events(rollout, apps, core, namespace):
    rollout(replicas=2)
    (name,) = (one.metadata.name for one in apps.list_namespaced_replica_set(namespace).items)
    said = {event.reason: event.message for event in core.list_namespaced_event(namespace).items}
    # A newer controller says from how many.
    assert said["ScalingReplicaSet"] in (
        f"Scaled up replica set {name} to 2",
        f"Scaled up replica set {name} from 0 to 2",
    )
    assert said["SuccessfulCreate"].startswith(f"Created pod: {name}-")
    assert said["Scheduled"].startswith(f"Successfully assigned {namespace}/{name}-")


def test_replicas_come_and_go(rollout, apps, core, namespace):
    rollout(replicas=1)
    apps.patch_namespaced_deployment_scale("web", namespace, {"spec": {"replicas": 3}})
    assert settled(apps, namespace).status.ready_replicas == 3
    assert len(sets(apps, namespace)) == 1
    apps.patch_namespaced_deployment_scale("web", namespace, {"spec": {"replicas": 0}})
    eventually(lambda: not core.list_namespaced_pod(namespace).items)
    assert conditions(settled(apps, namespace))["Available"][0] == "True"


def test_its_scale(rollout, apps, namespace):
    rollout(replicas=2)
    scale = apps.read_namespaced_deployment_scale("web", namespace)
    assert (scale.spec.replicas, scale.status.replicas, scale.status.selector) == (2, 2, "app=web")


def test_a_pod_that_is_deleted_is_replaced(rollout, apps, core, namespace):
    rollout(replicas=2)
    before = {pod.metadata.name for pod in core.list_namespaced_pod(namespace).items}
    core.delete_namespaced_pod(min(before), namespace)

    def replaced():
        there = core.list_namespaced_pod(namespace).items
        names = {pod.metadata.name for pod in there if pod.metadata.deletion_timestamp is None}
        return len(names) == 2 and min(before) not in names

    eventually(replaced)
    assert settled(apps, namespace).status.ready_replicas == 2


def test_an_update_keeps_enough_pods_ready(rollout, apps, core, namespace):
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    rollout(replicas=3, strategy=strategy, ready_after=1)
    change(apps, namespace, V="2")
    fewest, most, deadline = 3, 3, time.monotonic() + 60
    while time.monotonic() < deadline:
        now = apps.read_namespaced_deployment("web", namespace)
        fewest, most = min(fewest, now.status.available_replicas or 0), max(most, now.status.replicas or 0)
        if now.status.observed_generation == now.metadata.generation and now.status.updated_replicas == 3 == (
            now.status.available_replicas
        ) == (now.status.replicas):
            break
        time.sleep(0.05)
    assert (fewest, most) == (3, 4)
    assert {pod.spec.containers[0].env[0].value for pod in core.list_namespaced_pod(namespace).items
            if pod.metadata.deletion_timestamp is None} == {"2"}  # fmt: skip


def test_recreate_ends_the_old_before_the_new_begin(rollout, apps, core, namespace):
    rollout(replicas=2, strategy={"type": "Recreate"})
    old = {pod.metadata.uid for pod in core.list_namespaced_pod(namespace).items}
    change(apps, namespace, V="2")

    def mixed():
        running = [pod for pod in core.list_namespaced_pod(namespace).items if pod.status.phase == "Running"]
        new = [pod for pod in running if pod.metadata.uid not in old]
        assert not (new and len(running) > len(new)), "old and new pods ran side by side"
        return len(new) == 2

    eventually(mixed, 60)
    assert settled(apps, namespace).status.updated_replicas == 2


def test_revisions_and_the_way_back(rollout, apps, namespace, kubectl):
    rollout()
    change(apps, namespace, V="2")
    settled(apps, namespace)
    assert apps.read_namespaced_deployment("web", namespace).metadata.annotations[REVISION] == "2"
    old = sets(apps, namespace)
    assert (old["1"].spec.replicas, old["2"].spec.replicas) == (0, 1)
    assert kubectl("rollout", "undo", "deployment/web") == "deployment.apps/web rolled back"
    settled(apps, namespace)
    new = sets(apps, namespace)
    assert set(new) == {"2", "3"}
    assert new["3"].metadata.uid == old["1"].metadata.uid
    assert "env" not in kubectl.get("deployment", "web")["spec"]["template"]["spec"]["containers"][0]


def test_undo_to_a_revision(rollout, apps, namespace, kubectl):
    rollout(replicas=0)
    for value in "23":
        change(apps, namespace, V=value)
        eventually(lambda value=value: value in sets(apps, namespace))
    kubectl("rollout", "undo", "deployment/web", "--to-revision=2")
    eventually(lambda: "4" in sets(apps, namespace))
    assert sets(apps, namespace)["4"].spec.template.spec.containers[0].env[0].value == "2"
    assert "unable to find" in kubectl.refused("rollout", "undo", "deployment/web", "--to-revision=77")


def test_history(rollout, apps, namespace, kubectl):
    rollout(replicas=0)
    kubectl("annotate", "deployment/web", "kubernetes.io/change-cause=first")
    eventually(lambda: "kubernetes.io/change-cause" in sets(apps, namespace)["1"].metadata.annotations)
    change(apps, namespace, V="2")
    eventually(lambda: "2" in sets(apps, namespace))
    lines = kubectl("rollout", "history", "deployment/web").splitlines()
    assert lines[:2] == ["deployment.apps/web ", "REVISION  CHANGE-CAUSE"]
    assert [line.split() for line in lines[2:4]] == [["1", "first"], ["2", "first"]]


def test_old_revisions_are_forgotten(rollout, apps, namespace):
    rollout(replicas=0, more={"revisionHistoryLimit": 1})
    for value in "234":
        change(apps, namespace, V=value)
        eventually(lambda value=value: value in sets(apps, namespace))
    eventually(lambda: set(sets(apps, namespace)) == {"3", "4"})


def test_paused_it_waits(rollout, apps, namespace, kubectl):
    rollout()
    kubectl("rollout", "pause", "deployment/web")
    change(apps, namespace, V="2")

    def noticed():
        found = apps.read_namespaced_deployment("web", namespace)
        return found.status.observed_generation == found.metadata.generation

    eventually(noticed)
    found = apps.read_namespaced_deployment("web", namespace)
    assert conditions(found)["Progressing"] == ("Unknown", "DeploymentPaused")
    assert set(sets(apps, namespace)) == {"1"}
    kubectl("rollout", "resume", "deployment/web")
    eventually(lambda: "2" in sets(apps, namespace))
    assert settled(apps, namespace).status.updated_replicas == 1


def test_restart_replaces_every_pod(rollout, apps, core, namespace, kubectl):
    rollout()
    before = {pod.metadata.uid for pod in core.list_namespaced_pod(namespace).items}
    assert kubectl("rollout", "restart", "deployment/web") == "deployment.apps/web restarted"
    settled(apps, namespace)
    after = [
        p.metadata.uid for p in core.list_namespaced_pod(namespace).items if not p.metadata.deletion_timestamp
    ]
    assert not before & set(after)


def test_what_does_not_come_up_in_time(cluster, apps, namespace):
    more = {"progressDeadlineSeconds": 2}
    body = deployment(cluster.image, more=more, spec={"nodeSelector": {"no": "node"}})
    apps.create_namespaced_deployment(namespace, body)

    def given_up():
        found = apps.read_namespaced_deployment("web", namespace)
        return conditions(found).get("Progressing") == ("False", "ProgressDeadlineExceeded")

    eventually(given_up)
    found = apps.read_namespaced_deployment("web", namespace)
    assert conditions(found)["Available"] == ("False", "MinimumReplicasUnavailable")
    assert found.status.unavailable_replicas == 1


def test_a_bad_update_leaves_the_old_pods_serving(rollout, apps, core, namespace):
    rollout(replicas=2)
    patch = {"spec": {"template": {"spec": {"nodeSelector": {"no": "node"}}}}}
    apps.patch_namespaced_deployment("web", namespace, patch)
    eventually(lambda: core.list_namespaced_pod(namespace, field_selector="status.phase=Pending").items)
    time.sleep(1)
    assert apps.read_namespaced_deployment("web", namespace).status.available_replicas == 2


def test_replicas_count_as_available_after_a_while(cluster, apps, namespace):
    apps.create_namespaced_deployment(namespace, deployment(cluster.image, more={"minReadySeconds": 3}))

    def ready():
        return apps.read_namespaced_deployment("web", namespace).status.ready_replicas == 1

    eventually(ready)
    assert not apps.read_namespaced_deployment("web", namespace).status.available_replicas
    assert settled(apps, namespace).status.available_replicas == 1


def test_what_a_deployment_owns_goes_first(rollout, apps, core, namespace):
    rollout()
    apps.delete_namespaced_deployment("web", namespace, propagation_policy="Foreground")
    eventually(lambda: not apps.list_namespaced_deployment(namespace).items)
    assert not apps.list_namespaced_replica_set(namespace).items
    assert not core.list_namespaced_pod(namespace).items


def test_orphans_are_adopted_again(rollout, apps, namespace, cluster):
    rollout()
    (old,) = apps.list_namespaced_replica_set(namespace).items
    apps.delete_namespaced_deployment("web", namespace, propagation_policy="Orphan")
    eventually(lambda: not apps.list_namespaced_deployment(namespace).items)
    assert apps.list_namespaced_replica_set(namespace).items[0].metadata.owner_references is None
    apps.create_namespaced_deployment(namespace, deployment(cluster.image))
    found = settled(apps, namespace)
    (again,) = apps.list_namespaced_replica_set(namespace).items
    assert (again.metadata.uid, again.metadata.owner_references[0].uid) == (
        old.metadata.uid,
        found.metadata.uid,
    )


def test_a_pod_that_is_relabelled_is_let_go_and_replaced(rollout, apps, core, namespace):
    rollout()
    (one,) = core.list_namespaced_pod(namespace).items
    core.patch_namespaced_pod(one.metadata.name, namespace, {"metadata": {"labels": {"app": "debug"}}})
    eventually(
        lambda: core.read_namespaced_pod(one.metadata.name, namespace).metadata.owner_references is None
    )
    eventually(lambda: len(core.list_namespaced_pod(namespace, label_selector="app=web").items) == 1)
    assert settled(apps, namespace).status.ready_replicas == 1
