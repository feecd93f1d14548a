"""Your own tests: `python -m pytest 01_multicloud_platform`. They need no server. Add to them."""

import sys
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from planner import outcome, plan
from registry import Conflict, Corrupt, Registry
from store import MemoryBucket

JOB = {
    **{"work": 120.0, "deadline": 8.0, "data_gb": 200.0, "checkpoint_hours": 0.25, "restart_hours": 0.1},
    **{"start_hours": 0.1, "least_on_demand": 0.2},
}
OFFER = {
    **{"cloud": "aws", "region": "us-east-1", "instance": "c5.2xlarge", "speed": 8.0, "on_demand": 0.34},
    **{"spot": 0.15, "interruptions": 0.05, "most": 24, "usd_per_gb": 0.02},
}


@pytest.fixture
def registry():
    return Registry(MemoryBucket())


def test_a_version_comes_back_as_it_was_registered(registry):
    assert registry.register("digits", b"weights", {"run": "a"}) == 1
    assert registry.fetch("digits", 1) == b"weights"
    assert registry.versions("digits")[0]["lineage"] == {"run": "a"}


def test_an_artifact_that_was_changed_is_refused(registry):
    registry.register("digits", b"weights", {})
    key = registry.versions("digits")[0]["artifact"]
    registry.bucket.write(key, b"weighty")
    with pytest.raises(Corrupt):
        registry.fetch("digits", 1)


def test_one_of_many_promotions_wins(registry):
    for number in range(8):
        registry.register("digits", b"weights %d" % number, {})
    won, start = [], threading.Barrier(8)

    def promote(version):
        start.wait()
        try:
            registry.promote("digits", version, "production", expected=None)
            won.append(version)
        except Conflict:
            pass

    racers = [threading.Thread(target=promote, args=(version,)) for version in range(1, 9)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert won == [registry.stage("digits", "production")]


def test_a_plan_keeps_to_the_terms():
    found = plan(JOB, [OFFER])
    hours, usd = outcome(JOB, OFFER, found["on_demand"], found["spot"])
    assert hours <= JOB["deadline"]
    assert usd > 0


def test_no_plan_is_better_than_one_that_comes_too_late():
    assert plan({**JOB, "deadline": 0.2}, [OFFER]) is None
