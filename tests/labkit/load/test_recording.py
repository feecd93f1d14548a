from __future__ import annotations

import numpy as np
import pytest

from labkit.load import Outcome, Recording, longest_stall
from labkit.load.recording import quantile_of
from tests.labkit.load.recordings import recording_of


def test_what_is_saved_comes_back(tmp_path):
    recording = recording_of(
        [1, 2, np.inf], answers=(b"", b"\x00a", b"b"), answer=np.array([0, 1, 2], np.int32)
    )
    recording.save(tmp_path / "r.npz")
    again = Recording.load(tmp_path / "r.npz")
    assert again.answers == recording.answers
    assert again.kinds == recording.kinds
    assert np.array_equal(again.done_ns, recording.done_ns)
    assert again.outcomes() == {Outcome.OK: 2, Outcome.TIMEOUT: 1}


def test_a_file_with_pickles_is_not_loaded(tmp_path):
    np.savez(tmp_path / "r.npz", plain=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="pickle"):
        Recording.load(tmp_path / "r.npz")


def test_warm_up_and_cut_off_requests_do_not_count():
    outcome = [Outcome.OK] * 9 + [Outcome.UNFINISHED]
    recording = recording_of([5.0] * 10, rate=10, warmup=0.5, outcome=outcome)
    assert recording.requests == 4
    assert len(recording.measured()) == 4


def test_a_miss_is_later_than_any_answer():
    recording = recording_of([1.0] * 98 + [np.inf, np.inf])
    assert recording.quantile_ms(0.98) == pytest.approx(1.0)
    assert np.isinf(recording.quantile_ms(0.99))
    fast_but_wrong = recording_of([1.0, 1.0], outcome=[Outcome.OK, Outcome.WRONG_STATUS])
    assert np.isinf(fast_but_wrong.quantile_ms(1.0))


def test_kinds_can_be_told_apart():
    recording = recording_of([1, 2, 3, 4], kinds=("single", "bulk"), kind=np.array([0, 1, 0, 1], np.int16))
    assert recording.only("bulk").latency_ms.tolist() == [2, 4]
    assert recording.only("bulk", "single").requests == 4
    with pytest.raises(KeyError, match="there are single, bulk"):
        recording.only("other")


def test_quantiles_are_measured_values():
    assert quantile_of(np.arange(1.0, 101.0), 0.99) == 99
    assert quantile_of(np.array([7.0]), 0.5) == 7
    assert np.isnan(quantile_of(np.array([]), 0.5))


def test_the_longest_stall_is_the_longest_wait_of_a_probe():
    latency = [2.0] * 40
    latency[20] = 870.0
    recording = recording_of(latency, rate=20, kinds=("health",))
    stall = longest_stall(recording, "health")
    assert stall.milliseconds == pytest.approx(870)
    assert stall.at_seconds == pytest.approx(1.0)
    assert stall.answered
    assert np.isnan(longest_stall(recording_of([])).milliseconds)


def test_an_interrupted_recording_has_the_rate_of_what_was_sent():
    recording = recording_of([1.0] * 50, rate=100, seconds=10.0, interrupted=True)
    assert recording.measured_seconds == pytest.approx(0.49)
    assert recording.achieved_rate == pytest.approx(100, rel=0.05)


def test_empty():
    recording = recording_of([])
    assert (recording.requests, recording.misses, recording.sent_rate) == (0, 0, 0.0)
    assert "0 requests" in repr(recording)
