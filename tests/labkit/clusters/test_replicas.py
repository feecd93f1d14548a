"""The arithmetic of scaling, held against the examples and rules of Kubernetes' documentation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from labkit.clusters.embedded.api import timestamp
from labkit.clusters.embedded.autoscaling.behavior import History, decide
from labkit.clusters.embedded.autoscaling.replicas import Measured, NoReplicas, for_average, for_utilization

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


def pod(name, *, phase="Running", ready=True, age=3600, request="1000m"):
    started = timestamp(NOW - timedelta(seconds=age))
    condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": started}
    resources = {"requests": {"cpu": request}} if request else {}
    return {
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "c", "resources": resources}]},
        "status": {"phase": phase, "startTime": started, "conditions": [condition]},
    }


def measured(**millis):
    return {name: Measured(value, NOW, 15.0) for name, value in millis.items()}


def utilization(current, target, pods, **millis):
    return for_utilization(current, target, pods, measured(**millis), "cpu", NOW)


def test_the_documentation_s_example():
    pods = [pod("a"), pod("b")]
    # "if the current metric value is 200m, and the desired value is 100m, the number of replicas will be doubled"
    assert utilization(2, 10, pods, a=200, b=200).replicas == 4
    assert utilization(2, 40, pods, a=200, b=200).replicas == 1


@pytest.mark.parametrize(
    ("used", "replicas"), [(109, 2), (110, 2), (111, 3), (91, 2), (90, 2), (89, 2), (40, 1)]
)
def test_nothing_is_done_within_the_tolerance(used, replicas):
    found = for_average(2, 100, [pod("a"), pod("b")], measured(a=used, b=used), "", NOW)
    assert found.replicas == replicas


def test_what_is_not_measured_holds_scaling_in_back():
    pods = [pod("a"), pod("b"), pod("c"), pod("d")]
    # Alone, a quarter of the target would ask for one replica; the unmeasured are taken to use all they request.
    assert utilization(4, 80, pods, a=200, b=200).replicas == 3
    assert utilization(4, 80, pods, a=200, b=200, c=200, d=200).replicas == 1


def test_what_is_not_measured_damps_scaling_out():
    pods = [pod("a"), pod("b"), pod("c"), pod("d")]
    assert utilization(4, 50, pods, a=1000, b=1000).replicas == 4
    assert utilization(4, 50, pods, a=1000, b=1000, c=1000, d=1000).replicas == 8


def test_pods_that_start_count_as_idle_when_scaling_out():
    pods = [pod("a"), pod("b", ready=False, age=20)]
    assert utilization(2, 50, pods, a=900, b=900).replicas == 2
    pods = [pod("a"), pod("b", phase="Pending")]
    assert utilization(2, 50, pods, a=900).replicas == 2


def test_the_cpu_of_a_start_is_not_counted():
    # Ready for 5 s only, so that the 15 s measured are mostly its start.
    pods = [pod("a"), pod("b", age=5)]
    assert utilization(2, 50, pods, a=500, b=5000).replicas == 2


def test_ended_pods_are_left_out():
    going = pod("c")
    going["metadata"]["deletionTimestamp"] = timestamp(NOW)
    pods = [pod("a"), pod("b", phase="Failed"), going]
    assert utilization(1, 50, pods, a=1000, b=1000, c=1000).replicas == 2


def test_a_container_without_a_request_has_no_utilization():
    with pytest.raises(NoReplicas, match="missing request for cpu in container c of Pod a"):
        utilization(1, 50, [pod("a", request="")], a=1000)


def test_nothing_measured():
    with pytest.raises(NoReplicas, match="did not receive metrics for targeted pods"):
        utilization(1, 50, [pod("a")])


# ---- stabilisation, policies and bounds ---------------------------------------------------------------------

PERCENT = {"type": "Percent", "value": 100, "periodSeconds": 15}
PODS = {"type": "Pods", "value": 4, "periodSeconds": 15}


def spec(least=1, most=100, *, up=None, down=None):
    behavior = {"scaleUp": {"policies": [PODS, PERCENT], **(up or {})}}
    behavior["scaleDown"] = {"policies": [PERCENT], **(down or {})}
    return {"minReplicas": least, "maxReplicas": most, "behavior": behavior}


def test_without_behavior_it_at_most_doubles():
    plain = {"minReplicas": 1, "maxReplicas": 100}
    found = decide(plain, 5, 50, History(), 0.0)
    assert (found.replicas, found.limit[0]) == (10, "ScaleUpLimit")
    assert decide(plain, 1, 50, History(), 0.0).replicas == 4


def test_without_behavior_it_waits_five_minutes_to_scale_in():
    plain, history = {"minReplicas": 1, "maxReplicas": 100}, History()
    decide(plain, 8, 8, history, 0.0)
    found = decide(plain, 8, 2, history, 100.0)
    assert (found.replicas, found.able[0]) == (8, "ScaleDownStabilized")
    assert decide(plain, 8, 2, history, 301.0).replicas == 2


def test_a_peak_within_the_window_of_scaling_out_changes_nothing():
    steady, history = spec(up={"stabilizationWindowSeconds": 60}), History()
    decide(steady, 2, 2, history, 0.0)
    found = decide(steady, 2, 10, history, 30.0)
    assert (found.replicas, found.able[0]) == (2, "ScaleUpStabilized")
    decide(steady, 2, 10, history, 59.0)
    assert decide(steady, 2, 10, history, 91.0).replicas == 6


def test_a_dip_within_the_window_of_scaling_in_changes_nothing():
    steady, history = spec(down={"stabilizationWindowSeconds": 30}), History()
    decide(steady, 6, 6, history, 0.0)
    assert decide(steady, 6, 2, history, 20.0).replicas == 6
    assert decide(steady, 6, 2, history, 31.0).replicas == 2


def test_policies_of_scaling_out():
    assert decide(spec(), 2, 50, History(), 0.0).replicas == 6
    assert decide(spec(), 10, 50, History(), 0.0).replicas == 20
    assert decide(spec(up={"selectPolicy": "Min"}), 2, 50, History(), 0.0).replicas == 4
    found = decide(spec(up={"selectPolicy": "Disabled"}), 2, 50, History(), 0.0)
    assert (found.replicas, found.limit[0]) == (2, "ScaleUpLimit")


def test_policies_of_scaling_in():
    one = {"policies": [{"type": "Pods", "value": 2, "periodSeconds": 60}], "stabilizationWindowSeconds": 0}
    found = decide(spec(down=one), 10, 1, History(), 0.0)
    assert (found.replicas, found.limit[0]) == (8, "ScaleDownLimit")
    tenth = {
        "policies": [{"type": "Percent", "value": 10, "periodSeconds": 60}],
        "stabilizationWindowSeconds": 0,
    }
    assert decide(spec(down=tenth), 80, 1, History(), 0.0).replicas == 72
    disabled = {"selectPolicy": "Disabled", "stabilizationWindowSeconds": 0}
    assert decide(spec(down=disabled), 10, 1, History(), 0.0).replicas == 10


def test_a_policy_counts_what_was_done_in_its_period():
    history = History(changed=[(0.0, 4)])
    assert decide(spec(up={"policies": [PODS]}), 6, 50, history, 10.0).replicas == 6
    assert decide(spec(up={"policies": [PODS]}), 6, 50, history, 15.0).replicas == 10


def test_bounds():
    found = decide(spec(most=5), 4, 50, History(), 0.0)
    assert (found.replicas, found.limited, found.limit[0]) == (5, True, "TooManyReplicas")
    found = decide(spec(least=3, down={"stabilizationWindowSeconds": 0}), 4, 1, History(), 0.0)
    assert (found.replicas, found.limited, found.limit[0]) == (3, True, "TooFewReplicas")
    assert not decide(spec(), 4, 5, History(), 0.0).limited
