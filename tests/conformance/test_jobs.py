"""Jobs: pods that end, and what is made of how they end."""

from __future__ import annotations

import pytest
from conformance.conftest import eventually
from conformance.manifests import job


@pytest.fixture
def run(cluster, batch, namespace):
    """Makes a Job."""

    def make(**how):
        return batch.create_namespaced_job(namespace, job(cluster.image, **how))

    return make


@pytest.fixture
def ended(batch, namespace):
    """Gives a Job once it has the condition."""

    def wait(kind, name="work"):
        def look():
            found = batch.read_namespaced_job(name, namespace)
            return found if kind in conditions(found) else None

        return eventually(look, 60)

    return wait


def conditions(thing):
    """Reason of each condition that holds."""
    return {one.type: one.reason for one in thing.status.conditions or () if one.status == "True"}


def test_a_job_completes(run, ended, core, namespace, event_reasons):
    made = run()
    assert (made.spec.completions, made.spec.parallelism, made.spec.backoff_limit) == (1, 1, 6)
    found = ended("Complete")
    assert found.status.succeeded == 1
    assert found.status.active is None
    assert found.status.start_time <= found.status.completion_time
    (pod,) = core.list_namespaced_pod(namespace, label_selector="job-name=work").items
    assert pod.status.phase == "Succeeded"
    assert pod.metadata.labels["controller-uid"] == made.metadata.uid
    assert pod.status.container_statuses[0].state.terminated.reason == "Completed"
    eventually(lambda: {"SuccessfulCreate", "Completed"} <= event_reasons())


def test_so_many_completions_so_many_at_once(run, ended, batch, core, namespace):
    run(more={"completions": 4, "parallelism": 2}, runs=0.5)
    most = 0

    def look():
        nonlocal most
        found = batch.read_namespaced_job("work", namespace)
        most = max(most, found.status.active or 0)
        return "Complete" in conditions(found)

    eventually(look, 60)
    assert most == 2
    assert ended("Complete").status.succeeded == 4
    assert len(core.list_namespaced_pod(namespace).items) == 4


def test_a_failing_job_is_given_up(run, ended, core, namespace, event_reasons):
    run(exit_code=3, more={"backoffLimit": 0})
    found = ended("Failed")
    assert conditions(found)["Failed"] == "BackoffLimitExceeded"
    assert found.status.failed == 1
    pods = core.list_namespaced_pod(namespace).items
    assert {pod.status.container_statuses[0].state.terminated.exit_code for pod in pods} <= {3}
    eventually(lambda: "BackoffLimitExceeded" in event_reasons())


def test_a_failed_pod_is_followed_by_another(run, ended, batch, namespace):
    run(exit_code=1, more={"backoffLimit": 1})
    found = ended("Failed")
    assert found.status.failed == 2


def test_a_deadline(run, ended, core, namespace):
    run(runs=60, more={"activeDeadlineSeconds": 1})
    found = ended("Failed")
    assert conditions(found)["Failed"] == "DeadlineExceeded"
    message = next(one.message for one in found.status.conditions if one.type == "Failed")
    assert message == "Job was active longer than specified deadline"

    def no_pod_runs():
        pods = core.list_namespaced_pod(namespace).items
        return not [p for p in pods if p.status.phase == "Running" and not p.metadata.deletion_timestamp]

    eventually(no_pod_runs)


def test_its_pods_go_with_it(run, ended, batch, core, namespace):
    run()
    ended("Complete")
    batch.delete_namespaced_job("work", namespace, propagation_policy="Background")
    eventually(lambda: not core.list_namespaced_pod(namespace).items)


def test_parallelism_can_change(run, batch, namespace):
    run(runs=60, more={"parallelism": 1, "completions": 3})
    eventually(lambda: batch.read_namespaced_job("work", namespace).status.active == 1)
    batch.patch_namespaced_job("work", namespace, {"spec": {"parallelism": 3}})
    eventually(lambda: batch.read_namespaced_job("work", namespace).status.active == 3)
    batch.patch_namespaced_job("work", namespace, {"spec": {"parallelism": 0}})
    eventually(lambda: not batch.read_namespaced_job("work", namespace).status.active)


def test_a_work_queue_ends_with_its_first_success(run, ended):
    made = run(more={"parallelism": 2}, runs=0.5)
    assert made.spec.completions is None
    assert ended("Complete").status.succeeded == 2


@pytest.mark.since(22)
def test_indexed(run, ended, core, namespace):
    run(more={"completions": 3, "parallelism": 2, "completionMode": "Indexed"})
    assert ended("Complete").status.completed_indexes == "0-2"
    pods = core.list_namespaced_pod(namespace).items
    index = "batch.kubernetes.io/job-completion-index"
    assert sorted(pod.metadata.annotations[index] for pod in pods) == ["0", "1", "2"]
    assert sorted(pod.spec.hostname for pod in pods) == ["work-0", "work-1", "work-2"]


@pytest.mark.since(22)
def test_suspended_it_waits(run, ended, batch, core, namespace):
    run(more={"suspend": True})
    assert conditions(ended("Suspended"))["Suspended"] == "JobSuspended"
    assert not core.list_namespaced_pod(namespace).items
    batch.patch_namespaced_job("work", namespace, {"spec": {"suspend": False}})
    assert ended("Complete").status.succeeded == 1


@pytest.mark.since(21)
def test_what_is_finished_is_cleaned_up(run, batch, core, namespace):
    run(more={"ttlSecondsAfterFinished": 0})
    eventually(lambda: not batch.list_namespaced_job(namespace).items)
    eventually(lambda: not core.list_namespaced_pod(namespace).items)
