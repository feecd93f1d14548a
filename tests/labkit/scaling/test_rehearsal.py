"""Autoscalers rehearsed: what the numbers of a manifest lead to, and what a timeline says of it."""

import copy

import numpy as np
import pytest

from labkit.errors import WorkFault
from labkit.scaling import Load, Server, Timeline, rehearse
from labkit.verdicts import Tier

DEPLOYMENT = {
    "spec": {
        "template": {"spec": {"containers": [{"name": "m", "resources": {"requests": {"cpu": "100m"}}}]}}
    }
}
PODS = {
    "type": "Pods",
    "pods": {
        "metric": {"name": "requests_in_flight"},
        "target": {"type": "AverageValue", "averageValue": "1.2"},
    },
}
CPU = {
    "type": "Resource",
    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}},
}


def autoscaler(metric=PODS, window=15, most=8):
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "m"}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "m"},
        "spec": {
            "scaleTargetRef": target,
            "maxReplicas": most,
            "metrics": [metric],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": window}},
        },
    }


PEAK = Load([(20, 8, 8), (15, 8, 80), (45, 80, 80), (60, 8, 8)])


@pytest.mark.parametrize("metric", [PODS, CPU])
def test_out_for_a_peak_and_in_again(metric):
    line = rehearse(autoscaler(metric), DEPLOYMENT, PEAK)
    assert line.tier is Tier.SIMULATED
    assert line.at(15)[0] <= 2
    assert line.at(75)[1] >= 80 / Server().capacity
    assert line.at(139)[0] == 1
    assert line.late_share(0.5, since=45, until=80) < 0.01


def test_the_longer_window_turns_less_often():
    waves = Load([(20, 40, 40), *[(5, 50, 50), (5, 26, 26)] * 6])
    calm, nervous = (rehearse(autoscaler(window=window), DEPLOYMENT, waves).reversals() for window in (15, 0))
    assert calm < nervous


def test_too_few_replicas_are_late():
    assert rehearse(autoscaler(most=2), DEPLOYMENT, PEAK).late_share(0.5, since=45, until=80) > 0.5


def test_the_same_seed_gives_the_same():
    one, other = (rehearse(autoscaler(), DEPLOYMENT, PEAK) for _ in range(2))
    assert (one.replicas == other.replicas).all()


def test_without_requests_there_is_no_utilisation():
    bare = copy.deepcopy(DEPLOYMENT)
    del bare["spec"]["template"]["spec"]["containers"][0]["resources"]
    with pytest.raises(WorkFault, match="missing request for cpu"):
        rehearse(autoscaler(CPU), bare, PEAK)


def test_an_unknown_metric_is_named():
    other = copy.deepcopy(PODS)
    other["pods"]["metric"]["name"] = "queue"
    with pytest.raises(WorkFault, match="'queue'"):
        rehearse(autoscaler(other), DEPLOYMENT, PEAK)


def timeline(replicas):
    moments = np.arange(len(replicas), dtype=float)
    return Timeline(
        seconds=moments,
        offered=np.ones(len(replicas)),
        replicas=np.array(replicas),
        ready=np.array(replicas),
        latency=np.full(len(replicas), 0.1),
        requests=np.ones(len(replicas)),
        tier=Tier.LOCAL,
    )


@pytest.mark.parametrize(
    ("replicas", "turns"), [([1, 1], 0), ([1, 2, 4], 0), ([1, 4, 4, 2], 1), ([1, 3, 2, 3, 1], 3)]
)
def test_turns_are_counted(replicas, turns):
    assert timeline(replicas).reversals() == turns


def test_what_was_paid_for():
    assert timeline([1, 3, 3, 2]).replica_seconds() == 7
    assert timeline([1, 3]).first(3) == 1
    assert timeline([1, 3]).first(4) == np.inf


def test_a_plot_says_what_it_shows():
    plot = timeline([1, 4, 2]).plot(limit=0.5)
    assert "1 to 4 replicas, turned 1 times" in plot.text
