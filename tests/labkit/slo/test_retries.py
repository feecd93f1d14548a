from __future__ import annotations

import numpy as np

from labkit.slo import AvailabilityObjective, Objective, measure_until_decided
from labkit.verdicts import Verdict
from tests.labkit.load.recordings import recording_of

P99 = Objective(milliseconds=100)


def late(count, requests=3000, **more):
    latency = np.full(requests, 5.0)
    latency[np.linspace(0, requests - 1, count, dtype=int)] = 150.0
    return recording_of(latency, **more)


def measuring(*recordings):
    asked = []

    def measure(attempt):
        asked.append(attempt)
        return recordings[attempt]

    return measure, asked


def test_a_clear_case_is_measured_once():
    measure, asked = measuring(late(0))
    decision = measure_until_decided(measure, P99)
    assert decision.judgement.verdict is Verdict.PASSED
    assert decision.judgement.measured["tries"] == 1
    assert asked == [0]


def test_a_close_case_is_measured_again_and_counts_together():
    measure, asked = measuring(late(18), late(10, 12_000))
    decision = measure_until_decided(measure, P99)
    assert asked == [0, 1]
    assert decision.judgement.verdict is Verdict.PASSED
    assert decision.judgement.measured["requests"] == 15_000
    assert len(decision.recordings) == 2


def test_it_ends_after_three_tries():
    measure, asked = measuring(late(30), late(30), late(30))
    decision = measure_until_decided(measure, P99)
    assert decision.judgement.verdict is Verdict.INCONCLUSIVE
    assert asked == [0, 1, 2]
    assert decision.judgement.measured["tries"] == 3


def test_what_a_lagging_generator_measured_is_left_out():
    measure, _ = measuring(late(3000, lag_ms=50.0), late(0))
    decision = measure_until_decided(measure, P99)
    assert decision.judgement.verdict is Verdict.PASSED
    assert decision.judgement.measured["requests"] == 3000


def test_what_was_measured_beside_busy_programs_is_left_out():
    measure, _ = measuring(late(90, bystanders=0.5), late(0))
    decision = measure_until_decided(measure, P99)
    assert decision.judgement.verdict is Verdict.PASSED
    assert decision.judgement.measured["requests"] == 3000


def test_an_interrupt_or_a_hopeless_rate_ends_it():
    for ended in ({"interrupted": True}, {"gave_up": True}):
        measure, asked = measuring(late(0, **ended), late(0))
        assert measure_until_decided(measure, P99).judgement.verdict is Verdict.INCONCLUSIVE
        assert asked == [0]


def test_one_kind_is_judged_by_itself():
    latency = np.full(6000, 5.0)
    latency[::10] = 500.0
    recording = recording_of(
        latency, kinds=("single", "bulk"), kind=(np.arange(6000) % 10 == 0).astype(np.int16)
    )
    measure, _ = measuring(recording)
    assert measure_until_decided(measure, P99, kind="single").judgement.verdict is Verdict.PASSED
    measure, _ = measuring(recording)
    assert measure_until_decided(measure, P99, kind="bulk").judgement.verdict is Verdict.FAILED


def test_availability_too():
    measure, asked = measuring(late(0, 4000, rate=100), late(0, 20_000, rate=100))
    decision = measure_until_decided(measure, AvailabilityObjective())
    assert decision.judgement.verdict is Verdict.PASSED
    assert asked == [0, 1]
