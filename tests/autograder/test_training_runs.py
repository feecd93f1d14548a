"""Trainings that were interrupted are held against one that was not."""

import pytest

from autograder.rubrics.week10_kubernetes.training_runs import Truth

LOSSES = [2.0, 1.5, 1.2, 1.0, 0.9, 0.8]
TRUTH = Truth(LOSSES, [1.0, -1.0])


def steps(first, last, **more):
    return [{"step": n, "loss": LOSSES[n - 1], **more} for n in range(first, last + 1)]


DONE = [{"done": 6, "scores": [1.0, -1.0]}]


@pytest.mark.parametrize(
    "tries",
    [
        [steps(1, 6) + DONE],
        [steps(1, 4), steps(3, 6) + DONE],
        [steps(1, 4), [], steps(5, 6) + DONE],
        [steps(1, 6) + DONE, DONE],
    ],
)
def test_one_that_went_on_has_no_flaw(tries):
    assert TRUTH.flaw(tries, 6, most_repeated=2) == ""


@pytest.mark.parametrize(
    ("tries", "words"),
    [
        ([steps(1, 4), steps(1, 6) + DONE], "began at step 1 when step 4 had been done"),
        ([steps(1, 2), steps(5, 6) + DONE], "the last one had ended at 2"),
        ([steps(1, 4)], "ended at step 4 of 6"),
        ([[]], "ended at step 0 of 6"),
        ([steps(1, 3), [{"step": 4, "loss": 2.0}, *steps(5, 6), *DONE]], "step 4 has the loss 2.0"),
        ([[{"step": 1, "loss": "low"}, *steps(2, 6), *DONE]], "step 1 has the loss low"),
        ([[*steps(1, 6), {"done": 6, "scores": [1.0, 1.0]}]], "another one"),
        ([steps(1, 6)], "another one"),
    ],
)
def test_what_is_wrong_is_said(tries, words):
    assert words in TRUTH.flaw(tries, 6, most_repeated=2)


def rank(number, *, world=2, rows=25, scores=(1.0, -1.0), last=6):
    return [*steps(1, last, rank=number, world=world, rows=rows), {"rank": number, "scores": list(scores)}]


def test_ranks_that_agree_have_no_flaw():
    assert TRUTH.flaw_of_ranks([rank(0), rank(1)], 50) == ""


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ([rank(0), rank(0)], "pod 1 is rank 0 of 2"),
        ([rank(0, world=1), rank(1)], "pod 0 is rank 0 of 1"),
        ([rank(0), []], "pod 1 is rank None"),
        ([rank(0), rank(1, last=3)], "rank 1 did 3 of 6 steps"),
        ([rank(0, rows=50), rank(1, rows=50)], "learn from 100 rows"),
        ([rank(0), rank(1, scores=(1.0, 0.0))], "different networks"),
        ([rank(0, scores=(0.0, 0.0)), rank(1, scores=(0.0, 0.0))], "another network"),
        ([rank(0, scores=("1", None)), rank(1, scores=("1", None))], "another network"),
    ],
)
def test_what_is_wrong_with_ranks_is_said(said, words):
    assert words in TRUTH.flaw_of_ranks(said, 50)
