from __future__ import annotations

import numpy as np

from labkit.load import HttpClient, Kind, Schedule
from labkit.load.process import arrivals, bodies_in_turn

MIX = HttpClient(
    "http://h/",
    [Kind(name="single", share=0.985), Kind(name="bulk", share=0.015), Kind(name="health", rate=20)],
)


def test_a_mix_has_its_shares_and_its_probe():
    schedule = Schedule.poisson(200, seconds=99, warmup=1, seed=5)
    due, kind = arrivals(schedule, MIX.plain()["kinds"], MIX.shares)
    counts = np.bincount(kind)
    assert np.all(np.diff(due) >= 0)
    assert counts[2] == 2000
    assert abs(counts[1] - 300) < 70
    assert abs(counts[0] - 19_700) < 600
    gaps = np.diff(due[kind == 2])
    assert abs(gaps - 50_000_000).max() <= 1


def test_the_same_seed_mixes_the_same():
    one, same, other = (
        arrivals(Schedule.poisson(50, seconds=5, seed=seed), MIX.plain()["kinds"], MIX.shares)[1]
        for seed in (1, 1, 2)
    )
    assert np.array_equal(one, same)
    assert not np.array_equal(one[:200], other[:200])


def test_bodies_go_in_turn_within_their_kind():
    kind = np.array([0, 1, 0, 0, 1], dtype=np.int16)
    assert bodies_in_turn(kind, [2, 3]).tolist() == [0, 0, 1, 0, 1]
