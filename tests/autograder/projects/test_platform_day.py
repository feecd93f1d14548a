"""The judge of project 2 without its store: what it keeps of each part, what it compares, and its page."""

import re

import numpy as np
import pytest

from autograder.multicloud import day as judge
from autograder.multicloud.day import Day
from autograder.multicloud.report import page_of
from labkit.errors import Unavailable, WorkFault
from labkit.platform.offers import cases, optimum
from labkit.storage import Request
from labkit.verdicts import Judgement, Verdict
from tests.autograder.projects.teams import submission

PASSED = Judgement(Verdict.PASSED, "24 of 24 plans within 5 % of the best")
FAILED = Judgement(Verdict.FAILED, "it ended <killed>")
UNTRIED = Judgement(Verdict.NOT_MEASURED, "There is no object store for this machine.")


class Clock:
    """Stands for the gateway where only its clock is asked."""

    seconds = 4.2


class Store:
    """Stands for the store where it is only killed."""

    killed = 0

    def kill(self):
        self.killed += 1


@pytest.fixture
def stage(tmp_path):
    """The day's stage before anything was started."""
    made = judge._Stage.__new__(judge._Stage)
    made.day, made.gateway, made.store = Day(), Clock(), Store()
    made.work, made.logs = submission("project2", "good", tmp_path / "work"), tmp_path
    made._say = lambda _: None
    return made


def test_a_day_is_as_good_as_its_worst_part():
    assert Day().verdict is Verdict.NOT_MEASURED
    assert Day({"a": PASSED, "b": UNTRIED}).verdict is Verdict.NOT_MEASURED
    assert Day({"a": PASSED, "b": FAILED}).verdict is Verdict.FAILED


def test_the_score_counts_what_could_be_tried():
    assert Day({"a": PASSED, "b": FAILED, "c": UNTRIED}).score == (1, 2)
    assert Day().score == (0, 0)


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (WorkFault("training.py did not end well.", why="KeyError: 3"), Verdict.FAILED),
        (Unavailable("There is no network of its own here."), Verdict.NOT_MEASURED),
    ],
)
def test_a_part_that_ends_in_a_fault_does_not_end_the_day(stage, error, verdict):
    with stage.part("training goes on"):
        raise error
    kept = stage.day.found["training goes on"]
    assert kept.verdict is verdict
    assert str(error) in kept.summary
    assert stage.day.events == [(4.2, "training goes on")]


def test_a_fault_of_ours_is_not_held_against_the_learner(stage):
    with pytest.raises(ZeroDivisionError), stage.part("the edge is cut off"):
        raise ZeroDivisionError
    assert stage.day.found == {}


def test_the_store_dies_when_somebody_writes_and_not_before(stage):
    read, written = (Request("promoter-aws", method, "stages/digits") for method in ("GET", "PUT"))
    assert stage._dies(read) is None
    assert stage.store.killed == 0
    assert stage._dies(written) is None
    assert stage.store.killed == 1


def test_plans_are_held_against_the_best(stage, tmp_path):
    with stage.part("prices move"):
        stage.prices()
    assert stage.day.found["prices move"].verdict is Verdict.PASSED
    near, tried = map(int, re.findall(r"\d+", stage.day.found["prices move"].summary)[:2])
    assert near == tried > 20


def test_a_planner_that_looks_at_the_hour_alone_fails(stage, tmp_path):
    stage.work = submission("project2", "weaker", tmp_path / "weaker")
    with stage.part("prices move"):
        stage.prices()
    assert stage.day.found["prices move"].verdict is Verdict.FAILED


def test_a_planner_that_raises_fails_in_its_own_words(stage):
    (stage.work / "planner.py").write_text("def plan(job, offers):\n    raise KeyError('spot')\n")
    with stage.part("prices move"):
        stage.prices()
    kept = stage.day.found["prices move"]
    assert kept.verdict is Verdict.FAILED
    assert "spot" in kept.summary


def test_what_is_close_to_the_best_plan():
    case = next(iter(cases(1, seed=5)))
    best = optimum(case)
    plan = {name: best.offer[name] for name in ("cloud", "region", "instance")}
    plan |= {"on_demand": best.on_demand, "spot": best.spot}
    assert judge._close(case, plan, best.usd)
    assert not judge._close(case, plan, best.usd / 1.06)
    for wrong in (None, {}, plan | {"region": "moon"}, plan | {"spot": "many"}, plan | {"on_demand": -1}):
        assert not judge._close(case, wrong, best.usd)


def test_weights_are_near_or_not():
    one = {"w": np.zeros(3, dtype=np.float32)}
    assert judge._near({"w": one["w"] + np.float32(5e-5)}, one)
    assert not judge._near({"w": one["w"] + np.float32(1e-3)}, one)


@pytest.mark.parametrize(
    ("answer", "same"),
    [
        ({"scores": [[0.1, 0.9]]}, True),
        ({"scores": [[0.1004, 0.9]]}, True),
        ({"scores": [[0.2, 0.8]]}, False),
        ({"scores": [0.1, 0.9]}, False),
        ({"scores": "high"}, False),
        ({}, False),
        (None, False),
    ],
)
def test_which_answers_are_right(answer, same):
    assert judge._same(answer, np.array([[0.1, 0.9]])) is same


def test_the_page_shows_every_part_and_event_and_runs_nothing():
    day = Day({"prices move": PASSED, "training goes on": FAILED, "promotions race": UNTRIED})
    day.events = [(1.0, "prices move"), (7.5, "<script>alert(1)</script>")]
    day.served = [(8.0, 1), (9.0, 2)]
    page = page_of(day)
    assert "1 of 2 parts went well" in page
    for words in ("passed", "failed", "not measured", "it ended &lt;killed&gt;", "7.5 s: &lt;script&gt;"):
        assert words in page
    assert "<script>" not in page
    assert 'src="data:image/png;base64,' in page
