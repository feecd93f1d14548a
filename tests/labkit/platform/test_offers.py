"""The cases that planners are tried with, and the brute force that they are held against."""

import math

from labkit.platform.offers import cases, optimum, outcome


def test_cases_are_the_same_for_a_seed_and_one_in_eleven_cant_be_done():
    drawn, again = list(cases(20)), list(cases(20))
    assert drawn == again
    assert len(drawn) == 22
    assert [optimum(case) is None for case in drawn].count(True) == 2


def test_nothing_that_keeps_the_terms_is_cheaper_than_the_optimum():
    for case in cases(5, seed=4):
        best = optimum(case)
        if best is None:
            continue
        cheapest = min(
            (
                found.usd
                for offer in case.offers
                for on_demand in range(offer["most"] + 1)
                for spot in range(offer["most"] + 1 - on_demand)
                if (found := outcome(case.job, offer, on_demand, spot)) is not None
            ),
            default=math.inf,
        )
        assert math.isclose(best.usd, cheapest, rel_tol=1e-9)
        assert best.hours <= case.job["deadline"] + 1e-9
