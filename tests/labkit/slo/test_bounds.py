from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from benchmarks.simulated import services, wrong_verdicts
from labkit.slo.bounds import (
    design_effect,
    highest_share,
    lowest_share,
    quantile_levels,
    share_bounds,
)


@pytest.mark.parametrize(("misses", "requests"), [(0, 459), (3, 1000), (50, 200), (999, 1000)])
def test_whole_counts_give_clopper_and_pearson(misses, requests):
    exact = stats.binomtest(misses, requests).proportion_ci(confidence_level=0.98, method="exact")
    assert highest_share(misses, requests, 0.99) == pytest.approx(exact.high)
    assert lowest_share(misses, requests, 0.99) == pytest.approx(exact.low)


def test_the_least_sample_without_a_miss():
    assert highest_share(0, 459, 0.99) <= 0.01 < highest_share(0, 458, 0.99)
    assert highest_share(0, 4603, 0.99) <= 0.001 < highest_share(0, 4602, 0.99)
    assert highest_share(7, 7, 0.99) == 1.0
    assert lowest_share(0, 7, 0.99) == 0.0


def spread(count, requests=6000):
    late = np.zeros(requests, dtype=bool)
    late[np.linspace(0, requests - 1, count, dtype=int)] = True
    return late


def together(count, requests=6000):
    late = np.zeros(requests, dtype=bool)
    late[1000 : 1000 + count] = True
    return late


def test_misses_side_by_side_widen_the_bounds():
    apart = share_bounds([spread(60)], allowed=0.01, confidence=0.99)
    beside = share_bounds([together(60)], allowed=0.01, confidence=0.99)
    assert beside.upper > 2 * apart.upper
    assert beside.lower < apart.lower / 2
    assert design_effect([spread(60)], 0.99) == 1.0
    assert design_effect([together(60)], 0.99) > 20


def test_near_misses_side_by_side_widen_the_upper_bound_alone():
    none = np.zeros(6000, dtype=bool)
    plain = share_bounds([none], allowed=0.01, confidence=0.99)
    warned = share_bounds([none], allowed=0.01, confidence=0.99, near=[together(300)])
    assert plain.upper < 0.01 < warned.upper
    assert warned.lower == plain.lower == 0


def test_no_miss_in_a_long_enough_run_is_within_the_allowance():
    for requests in (600, 6000, 60_000):
        none = np.zeros(requests, dtype=bool)
        assert share_bounds([none], allowed=0.01, confidence=0.99).upper < 0.01
    none = np.zeros(20_000, dtype=bool)
    assert share_bounds([none], allowed=0.001, confidence=0.99).upper < 0.001
    assert share_bounds([none[:400]], allowed=0.01, confidence=0.99).upper > 0.01


def test_all_late():
    bounds = share_bounds([np.ones(1000, dtype=bool)], allowed=0.01, confidence=0.99)
    assert bounds.upper == 1.0
    assert bounds.lower > 0.98


def test_nothing_measured_says_nothing():
    assert share_bounds([], allowed=0.01, confidence=0.99)[:2] == (0.0, 1.0)
    assert share_bounds([np.zeros(0, dtype=bool)], allowed=0.01, confidence=0.99)[:2] == (0.0, 1.0)


def test_several_runs_count_as_one_sample():
    halves = share_bounds([spread(10, 3000), spread(10, 3000)], allowed=0.01, confidence=0.99)
    whole = share_bounds([spread(20, 6000)], allowed=0.01, confidence=0.99)
    assert halves.upper == pytest.approx(whole.upper, rel=0.2)


def test_the_levels_of_the_quantile_turn_the_bounds_round():
    bounds = share_bounds([spread(20)], allowed=0.01, confidence=0.99)
    low, high = quantile_levels(bounds, allowed=0.01, confidence=0.99)
    assert 0.95 < low < 0.99 < high < 1
    tiny = share_bounds([np.zeros(100, dtype=bool)], allowed=0.01, confidence=0.99)
    assert quantile_levels(tiny, allowed=0.01, confidence=0.99)[1] > 1


@pytest.mark.parametrize("name", services(6000, 0.01))
def test_wrong_verdicts_at_the_border(name):
    """The short form of `python -m benchmarks bounds`: 2,000 runs of 6,000 requests.

    One in a hundred is allowed; two thousand runs show that to within half of one.
    """
    wrong = wrong_verdicts(services(6000, 0.01)[name], runs=2000, requests=6000)
    assert wrong.passed <= 0.015
    assert wrong.failed <= 0.015


def test_measuring_again_makes_no_wrong_verdict_likelier():
    simulator = services(3000, 0.01)["independent"]
    wrong = wrong_verdicts(simulator, runs=1000, requests=3000, looks=3)
    assert wrong.passed <= 0.015
    assert wrong.failed <= 0.015


def test_a_service_with_margin_is_decided():
    generator = np.random.default_rng(2)
    for share, expected in ((0.001, "passed"), (0.03, "failed")):
        decided = 0
        for _ in range(50):
            bounds = share_bounds([generator.random(6000) < share], allowed=0.01, confidence=0.99)
            decided += bounds.upper <= 0.01 if expected == "passed" else bounds.lower > 0.01
        assert decided >= 48
