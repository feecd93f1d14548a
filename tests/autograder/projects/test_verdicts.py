"""What an hour says of a service: each promise is broken by what it is about, and by nothing else."""

import pytest

from autograder.production.contract import ERRORS, LABELS_DOWN, SLOW
from autograder.production.release import Ended, Release
from autograder.production.script import BAD, HOUR, PEAK, SHORT, Event
from autograder.production.verdicts import LAG_LIMIT_MS, budget, cost, promises, score
from labkit.verdicts import Verdict
from tests.autograder.projects.hours import Service, one_in


def found(service):
    """The promises of an hour, by name."""
    return {each.name: each for each in promises(service.seen())}


def earned(service):
    return score(promises(service.seen()))[0]


@pytest.mark.parametrize(("script", "of"), [(HOUR, 100.0), (SHORT, 95.0)])
def test_a_good_service_earns_all(script, of):
    kept = promises(Service(script=script).seen())
    assert {each.name: each.found.verdict for each in kept if each.found.verdict is not Verdict.PASSED} == {}
    assert score(kept) == (of, of)


@pytest.mark.parametrize(
    ("service", "broken"),
    [
        pytest.param(
            Service(latency_ms={part.name: 180.0 for part in HOUR if part.name != BAD}),
            {"latency"},
            id="slow",
        ),
        pytest.param(
            Service(lost={"pods killed": one_in(10)}), {"latency", "availability"}, id="loses at kills"
        ),
        pytest.param(Service(replicas=(2, 2, 2)), {"scaling"}, id="never scales"),
        pytest.param(Service(replicas=(2, 4, 4)), {"scaling"}, id="never scales in"),
        pytest.param(Service(lost={"an update": lambda at: at < 0.1}), {"update"}, id="loses at the update"),
        pytest.param(Service(update=Ended.NOT_READY), {"update"}, id="does not update"),
        pytest.param(
            Service(lost={"a broken release": lambda at: at < 0.1}),
            {"broken release"},
            id="loses at the broken one",
        ),
        pytest.param(Service(exposed=15.5), {"bad release"}, id="taken back late"),
        pytest.param(Service(exposed=None), {"bad release"}, id="never taken back"),
        pytest.param(Service(alerts=[(SLOW, "steady")]), {"alerts"}, id="a needless alert"),
        pytest.param(Service(quiet=[LABELS_DOWN]), {"alerts"}, id="a silent alert"),
        pytest.param(Service(unjoined=2), {"logs"}, id="logs not joined"),
    ],
)
def test_each_promise_is_broken_by_what_it_is_about(service, broken):
    lost = {name for name, each in found(service).items() if each.found.verdict is not Verdict.PASSED}
    assert lost == broken


def test_half_of_a_promise_earns_half():
    late, never = found(Service(exposed=15.5))["bad release"], found(Service(exposed=None))["bad release"]
    assert (late.earned, never.earned) == (5.0, 0.0)
    assert "15.5 s" in late.found.summary
    assert "Not so: within 15 s" in late.found.summary


def test_the_bad_release_is_no_fault_of_availability_but_spends_the_budget():
    service = Service(lost={BAD: lambda at: (at > 15) & (at < 22)})
    assert found(service)["availability"].found.verdict is Verdict.PASSED
    spent = budget(service.seen())
    assert spent.measured["budget_spent"] > 1
    assert f"{spent.measured['errors']:,} of" in spent.summary


def test_an_undecided_promise_counts_in_neither_sum():
    service = Service(lag_ms={"an update": LAG_LIMIT_MS + 1})
    kept = promises(service.seen())
    latency = next(each for each in kept if each.name == "latency")
    assert latency.found.verdict is Verdict.INCONCLUSIVE
    assert "load generator" in latency.found.summary
    assert score(kept) == (80.0, 80.0)


def test_a_generator_that_starts_pods_beside_it_may_be_a_little_late():
    assert earned(Service(lag_ms={"an update": LAG_LIMIT_MS - 1}, latency_ms={"an update": 49.5})) == 100.0


def test_generous_lag_excuses_no_slow_service():
    slow = {part.name: 180.0 for part in HOUR}
    lag = {part.name: LAG_LIMIT_MS - 1 for part in HOUR}
    assert found(Service(latency_ms=slow, lag_ms=lag))["latency"].found.verdict is Verdict.FAILED


def test_more_replicas_cost_more():
    few, many = found(Service()), found(Service(replicas=(2, 5, 2)))
    usd = [each["cost"].found.measured["usd_per_inference"] for each in (few, many)]
    assert 0 < usd[0] <= usd[1] < 0.001


def test_without_a_peak_cost_is_not_measured():
    script = [part for part in HOUR if part.name != "peak"]
    seen = Service(script=HOUR).seen()
    seen.parts = [each for each in seen.parts if each[0] in script]
    assert cost(seen).verdict is Verdict.NOT_MEASURED
    assert max(part.end_rate for part in HOUR) == PEAK


@pytest.mark.parametrize(
    ("name", "part", "needless"),
    [
        (ERRORS, BAD, False),  # again in the part that it is about
        (ERRORS, "no labels", False),  # within the grace of the part before
        (LABELS_DOWN, "quiet", False),
        (ERRORS, "peak", True),
        (LABELS_DOWN, "steady", True),
        ("AnythingElse", "peak", True),
    ],
)
def test_which_alerts_are_needless(name, part, needless):
    summary = found(Service(alerts=[(name, part)]))["alerts"].found.summary
    assert (f"needless: {name}" in summary) is needless


def test_an_alert_that_is_over_has_not_fired():
    seen = Service(quiet=[ERRORS, LABELS_DOWN]).seen()
    assert [each for each in seen.alerts if each.firing] == []
    alerts = next(each for each in promises(seen) if each.name == "alerts")
    assert "fired: none" in alerts.found.summary
    assert alerts.earned == pytest.approx(3.3)


def test_a_bad_release_that_never_had_traffic_needs_no_alert():
    seen = Service(quiet=[ERRORS]).seen()
    seen.releases[Event.BAD_RELEASE] = Release(Ended.REFUSED, "3 of 200 answers were wrong", "green")
    kept = {each.name: each for each in promises(seen)}
    assert kept["alerts"].found.verdict is Verdict.PASSED
    assert kept["bad release"].found.verdict is Verdict.FAILED


GOOD = Service()
WEAKER = Service(replicas=(2, 2, 2), exposed=None, lost={BAD: one_in(20)})
WRONG = Service(
    lost={part.name: one_in(1) for part in HOUR},
    replicas=(2, 2, 2),
    exposed=None,
    update=Ended.NOT_READY,
    quiet=[ERRORS, LABELS_DOWN],
    unjoined=100,
)


def test_three_levels_are_in_order():
    good, weaker, wrong = map(earned, (GOOD, WEAKER, WRONG))
    assert good == 100.0
    assert wrong < weaker < good
    assert good - weaker >= 15
    assert weaker - wrong >= 15
