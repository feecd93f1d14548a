from __future__ import annotations

import json

import numpy as np
import pytest

from labkit.load import Outcome
from labkit.slo import AvailabilityObjective, Objective, judge, judge_availability
from labkit.verdicts import Tier, Verdict
from tests.labkit.load.recordings import recording_of

P99 = Objective(milliseconds=100, quantile=0.99, confidence=0.99)


def with_late(count, requests=6000, late_ms=150.0):
    latency = np.full(requests, 5.0)
    latency[np.linspace(0, requests - 1, count, dtype=int)] = late_ms
    return latency


def test_well_within_passes():
    judgement = judge(recording_of(with_late(6)), P99)
    assert judgement.verdict is Verdict.PASSED
    assert judgement.summary == "p99 5 ms, at most 5 ms (99 %); 0.1 % late or missed"
    assert judgement.measured["late"] == 6


def test_well_beyond_fails():
    judgement = judge(recording_of(with_late(300)), P99)
    assert judgement.verdict is Verdict.FAILED
    assert "at least 150 ms" in judgement.summary


def test_the_border_is_inconclusive():
    judgement = judge(recording_of(with_late(58)), P99)
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert "between 5 ms and 150 ms" in judgement.summary


def test_a_second_in_ten_standing_still_fails_although_most_requests_are_fast():
    """200 requests/s for a minute; every ten seconds one second stands still and its requests wait."""
    due = np.arange(12_000) / 200
    latency = np.where(due % 10 < 1, (1 - due % 10) * 1000, 5.0)
    judgement = judge(recording_of(latency, rate=200), P99)
    assert judgement.verdict is Verdict.FAILED
    assert judgement.measured["p50_ms"] == pytest.approx(5)


@pytest.mark.parametrize(
    "outcome", [each for each in Outcome if each not in (Outcome.OK, Outcome.UNFINISHED)]
)
def test_every_kind_of_miss_is_a_miss(outcome):
    outcomes = np.full(6000, Outcome.OK)
    outcomes[::20] = outcome
    recording = recording_of(np.full(6000, 5.0), outcome=outcomes)
    assert judge(recording, P99).verdict is Verdict.FAILED
    assert judge(recording, P99).measured["errors"] == 300
    assert judge_availability(recording).verdict is Verdict.FAILED


def test_too_few_requests_say_nothing():
    judgement = judge(recording_of([500.0] * 40), P99)
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert "Only 40 requests" in judgement.summary
    assert judge(recording_of([]), P99).verdict is Verdict.INCONCLUSIVE
    assert judge([], P99).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("late", [0, 3000])
def test_a_lagging_generator_says_nothing_whatever_it_measured(late):
    judgement = judge(recording_of(with_late(late), lag_ms=11.0), P99)
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert "load generator was up to 11.0 ms late itself (p99; limit 10 ms)" in judgement.summary
    relaxed = Objective(milliseconds=100, lag_limit_ms=20)
    assert judge(recording_of(with_late(0), lag_ms=11.0), relaxed).verdict is Verdict.PASSED


def test_a_generator_that_gave_up_says_what_it_could_send():
    judgement = judge(recording_of([1.0] * 6000, rate=1000, gave_up=True), P99)
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert "can't send 1,000 requests/s" in judgement.summary


def test_an_interrupted_run_is_shown_but_not_decided():
    judgement = judge(recording_of(with_late(0), interrupted=True), P99)
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert "Interrupted after 60.0 s and 6,000 requests" in judgement.summary
    assert judgement.measured["p50_ms"] == pytest.approx(5)


def test_answers_that_were_not_checked_say_nothing():
    answer = np.zeros(6000, dtype=np.int32)
    answer[5] = -2
    judgement = judge(recording_of(with_late(0), answer=answer, answers=(b"",)), P99)
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert "1 answers were not checked" in judgement.summary


def test_a_server_that_fails_beside_busy_programs_is_not_blamed():
    judgement = judge(recording_of(with_late(300), bystanders=0.6), P99)
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert judgement.summary.startswith("Other programs took 60 % of this machine")
    assert judgement.measured["other_programs_share"] == 0.6
    availability = judge_availability(recording_of(np.full(6000, np.inf), bystanders=0.6))
    assert availability.verdict is Verdict.INCONCLUSIVE


def test_a_server_that_passes_beside_busy_programs_passes():
    assert judge(recording_of(with_late(6), bystanders=0.6), P99).verdict is Verdict.PASSED


def test_few_other_programs_are_no_excuse():
    assert judge(recording_of(with_late(300), bystanders=0.1), P99).verdict is Verdict.FAILED


def test_no_busy_machine_makes_an_answer_wrong():
    outcome = np.full(6000, Outcome.OK)
    outcome[::20] = Outcome.WRONG_ANSWER
    judgement = judge(recording_of(np.full(6000, 5.0), outcome=outcome, bystanders=0.6), P99)
    assert judgement.verdict is Verdict.FAILED


def test_requests_late_by_the_generators_own_lag_do_not_fail_a_service():
    lag = np.zeros(6000)
    late = np.linspace(0, 5999, 57, dtype=int)
    lag[late] = 145.0
    recording = recording_of(with_late(57), lag_ms=lag)
    assert judge(recording, P99).verdict is Verdict.INCONCLUSIVE
    assert judge(recording, P99).measured["miss_share_at_least"] == 0


def test_answers_that_arrived_while_the_generator_stood_still_do_not_fail_a_service():
    latency = np.full(6000, 5.0)
    latency[1000:1030] = 150.0
    latency[3000:3300] = 150.0
    honest = recording_of(latency)
    assert judge(honest, P99).measured["miss_share_at_least"] > 0
    pauses = np.array([[9_990_000_000, 10_600_000_000], [29_990_000_000, 33_500_000_000]])
    excused = judge(recording_of(latency, pauses_ns=pauses), P99)
    assert excused.measured["miss_share_at_least"] == 0
    assert excused.verdict is not Verdict.FAILED


def test_a_quantile_that_is_never_answered_has_no_number():
    judgement = judge(recording_of([np.inf] * 1000), P99)
    assert judgement.verdict is Verdict.FAILED
    assert judgement.measured["p99_ms"] is None
    assert "p99 no answer" in judgement.summary


def test_everything_measured_is_plain_json():
    for latency in ([], [np.inf] * 100, with_late(20)):
        json.dumps(judge(recording_of(latency), P99).measured, allow_nan=False)
        json.dumps(judge_availability(recording_of(latency)).measured, allow_nan=False)


def test_the_tier_is_kept():
    assert judge(recording_of(with_late(0)), P99, tier=Tier.REAL).tier is Tier.REAL


def test_more_looks_ask_for_more_evidence():
    recording = recording_of([5.0] * 500, rate=50)
    assert judge(recording, P99).verdict is Verdict.PASSED
    assert judge(recording, P99, looks=3).verdict is Verdict.INCONCLUSIVE


def test_availability_of_three_nines():
    twenty_thousand = recording_of([5.0] * 20_000, rate=200)
    judgement = judge_availability(twenty_thousand)
    assert judgement.verdict is Verdict.PASSED
    assert judgement.summary.startswith("100 % answered, at least 99.9")
    late_is_no_miss = recording_of([5000.0] * 20_000, rate=200)
    assert judge_availability(late_is_no_miss).verdict is Verdict.PASSED
    broken = recording_of(np.where(np.arange(20_000) % 200 == 0, np.inf, 5.0), rate=200)
    assert judge_availability(broken).verdict is Verdict.FAILED
    some = recording_of(np.where(np.arange(20_000) % 1000 == 0, np.inf, 5.0), rate=200)
    assert judge_availability(some, AvailabilityObjective(share=0.999)).verdict is Verdict.INCONCLUSIVE
