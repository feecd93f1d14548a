from __future__ import annotations

import numpy as np
import pytest

from labkit.errors import WorkbookError
from labkit.load import Schedule


def test_the_same_seed_repeats_the_arrivals():
    one, same, other = (Schedule.poisson(100, seconds=5, seed=seed).arrivals() for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one[:100], other[:100])


def test_poisson_gaps_are_exponential():
    arrivals = Schedule.poisson(1000, seconds=50, warmup=0, seed=3).arrivals()
    gaps = np.diff(arrivals) / 1e9
    assert len(arrivals) == pytest.approx(50_000, rel=0.03)
    assert gaps.mean() == pytest.approx(0.001, rel=0.03)
    assert gaps.std() == pytest.approx(0.001, rel=0.05)


def test_constant_arrivals_are_evenly_spaced():
    arrivals = Schedule.constant(200, seconds=2, warmup=1).arrivals()
    assert len(arrivals) == 600
    assert set(np.diff(arrivals)) <= {5_000_000, 4_999_999, 5_000_001}


def test_a_ramp_goes_from_one_rate_to_the_other():
    arrivals = Schedule.ramp(100, 900, seconds=20, warmup=5, seed=4).arrivals() / 1e9
    assert np.count_nonzero(arrivals < 5) == pytest.approx(500, rel=0.15)
    assert np.count_nonzero((arrivals >= 5) & (arrivals < 7)) == pytest.approx(280, rel=0.2)
    assert np.count_nonzero(arrivals >= 23) == pytest.approx(1720, rel=0.1)
    assert np.count_nonzero(Schedule.ramp(900, 100, seconds=20).arrivals() < 2e9) > 1500


def test_arrivals_stay_within_the_run():
    schedule = Schedule.poisson(50, seconds=3, warmup=2)
    assert schedule.total_seconds == 5
    assert schedule.arrivals().max() <= 5e9
    assert np.all(np.diff(schedule.arrivals()) >= 0)


@pytest.mark.parametrize(("rate", "seconds"), [(0, 1), (-5, 1), (10, 0), (float("nan"), 1)])
def test_nonsense_is_refused(rate, seconds):
    with pytest.raises(WorkbookError, match="can't be made"):
        Schedule.poisson(rate, seconds=seconds)


def test_more_than_memory_holds_is_refused():
    with pytest.raises(WorkbookError, match="more than one run keeps"):
        Schedule.poisson(1e6, seconds=60)


def test_plain_form_makes_it_again():
    schedule = Schedule.ramp(10, 20, seconds=3)
    assert Schedule(**schedule.plain()) == schedule
