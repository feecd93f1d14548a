from __future__ import annotations

from labkit.load import Outcome


def test_every_outcome_has_words_and_a_lasting_number():
    assert {outcome.name: outcome.value for outcome in Outcome} == {
        "UNFINISHED": 0,
        "OK": 1,
        "WRONG_STATUS": 2,
        "WRONG_ANSWER": 3,
        "TIMEOUT": 4,
        "REFUSED": 5,
        "BROKEN": 6,
    }
    assert Outcome.WRONG_STATUS.words == "wrong status"
    assert Outcome.TIMEOUT.words == "time-out"
