from __future__ import annotations

import json
import math

import numpy as np
import pytest

from labkit.errors import WorkbookError
from labkit.slo import Day, Fleet, cost_of, judge_cost, price_of
from labkit.slo.cost import MINUTES, price_tables
from labkit.verdicts import Tier, Verdict
from tests.labkit.load.recordings import recording_of

ALL_RIGHT = recording_of([5.0] * 6000)


def test_every_price_table_is_dated_and_sourced():
    for table in price_tables().values():
        assert table["source"].startswith("https://")
        assert table["date"].year >= 2025
        assert all(price > 0 for price in table["instances"].values())


def test_an_unknown_machine_or_table_is_told():
    with pytest.raises(WorkbookError, match=r"m5\.large"):
        price_of("m99.huge")
    with pytest.raises(WorkbookError, match="aws-us-east-1"):
        price_of("m5.large", "moon")


def test_the_day_is_mostly_idle():
    rates = Day.mostly_idle(100).rates()
    assert len(rates) == MINUTES
    assert np.count_nonzero(rates == 1) == MINUTES - 120
    assert rates.max() == 100


def test_replicas_follow_the_rate_and_stay_a_while():
    fleet = Fleet(replica_rate=10, target_utilisation=0.5, hold_minutes=2, least_replicas=1)
    rates = np.array([0.0, 20.0, 0.0, 0.0, 0.0, 5.1])
    assert fleet.replicas(rates).tolist() == [1, 4, 4, 4, 1, 2]


def test_a_steady_replica_costs_its_hours():
    day = Day(peak_rate=1, idle_rate=1)
    cost = cost_of(day, Fleet(replica_rate=10), price_of("m5.large"))
    assert cost.node_hours == cost.replica_hours == 24
    assert cost.usd == pytest.approx(24 * 0.096)
    assert cost.per_inference() == pytest.approx(24 * 0.096 / 86_400)
    shared = cost_of(day, Fleet(replica_rate=10, least_replicas=4, replicas_per_node=3), price_of("m5.large"))
    assert (shared.replica_hours, shared.node_hours) == (96, 48)


def test_failed_requests_are_paid_for():
    cost = cost_of(Day(peak_rate=1, idle_rate=1), Fleet(replica_rate=10), price_of("m5.large"))
    assert cost.per_inference(0.5) == pytest.approx(2 * cost.per_inference())
    assert cost.per_inference(1.0) == math.inf


def test_a_dear_machine_fails_on_an_idle_day_and_a_cheap_one_passes():
    day = Day.mostly_idle(10)
    fleet = Fleet(replica_rate=200, least_replicas=2)
    dear = judge_cost(cost_of(day, fleet, price_of("p3.2xlarge")), ALL_RIGHT)
    cheap = judge_cost(cost_of(day, fleet, price_of("m5.large")), ALL_RIGHT)
    assert dear.verdict is Verdict.FAILED
    assert cheap.verdict is Verdict.PASSED
    assert cheap.tier is Tier.SIMULATED
    assert "a million" in cheap.summary
    assert cheap.measured["usd_per_million"] == pytest.approx(1e6 * cheap.measured["usd_per_inference"])
    json.dumps(cheap.measured, allow_nan=False)


def test_a_service_that_answers_nothing_has_no_price():
    cost = cost_of(Day.mostly_idle(10), Fleet(replica_rate=200), price_of("m5.large"))
    judgement = judge_cost(cost, recording_of([np.inf] * 1000))
    assert judgement.verdict is Verdict.FAILED
    json.dumps(judgement.measured, allow_nan=False)


def test_too_few_requests_leave_it_open():
    day = Day.mostly_idle(10)
    cost = cost_of(day, Fleet(replica_rate=200), price_of("m5.large"))
    limit = cost.per_inference() * 1.01
    assert judge_cost(cost, recording_of([5.0] * 30), at_most_usd=limit).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    "make",
    [
        lambda: Day(peak_rate=1, idle_rate=2),
        lambda: Day(peak_rate=1, idle_rate=0, bursts=50, burst_minutes=60),
        lambda: Fleet(replica_rate=0),
        lambda: Fleet(replica_rate=1, replicas_per_node=0),
    ],
)
def test_nonsense_is_refused(make):
    with pytest.raises(WorkbookError):
        make()
