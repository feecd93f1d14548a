from datetime import UTC, datetime

import pytest

from autograder.display import number, report_html, summary
from autograder.loading import CheckSpec
from autograder.results import Outcome, Report
from labkit.verdicts import Tier, Verdict


def outcome(name="speed", verdict=Verdict.FAILED, **more):
    values = {"points": 0, "maximum": 4, "title": f"asks for {name}", **more}
    return Outcome(check=name, verdict=verdict, **values)


def report(*outcomes):
    return Report(lab="week11/fastapi_server", started=datetime(2026, 1, 1, tzinfo=UTC), outcomes=outcomes)


def test_what_a_learner_wrote_is_shown_and_never_run():
    page = report_html(report(outcome(evidence="<script>alert(1)</script>", cause="<img onerror=x>")))
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;script&gt;" in page


def test_the_verdict_stands_there_as_a_word_and_the_points_too():
    page = report_html(report(outcome(verdict=Verdict.NOT_MEASURED), outcome("size", points=2.75)))
    assert "not measured" in page
    assert "2.75 / 4" in page
    assert "2.75 of 4 points. Next: asks for size." in page


def test_of_a_hidden_check_the_learner_sees_the_title_only():
    hidden = report(outcome(hidden=True, evidence="image 17", cause="it was dim"))
    assert "asks for speed" in report_html(hidden)
    assert "image 17" not in report_html(hidden)
    assert "it was dim" not in report_html(hidden)
    assert "image 17" in report_html(hidden, for_learner=False)


def test_what_has_not_ended_waits():
    checks = [CheckSpec("size", "asks for size", 2), CheckSpec("speed", "asks for speed", 4)]
    begun = report_html(report(), waiting=checks)
    assert (begun.count("waiting"), begun.count("running")) == (2, 0)
    page = report_html(report(), waiting=checks, doing="the load, 12 s left")
    assert (page.count("waiting"), page.count("running")) == (1, 1)
    assert page.index("the load, 12 s left ...") < page.index("asks for speed")


def test_our_own_error_is_said_as_ours():
    assert "broke on our side" in summary(report(outcome(verdict=Verdict.ERROR)))


def test_what_this_machine_cannot_measure_is_left_out_of_the_maximum():
    both = report(outcome(verdict=Verdict.PASSED, points=4), outcome("gpu", Verdict.NOT_MEASURED))
    assert both.maximum == 4
    assert both.verdict is Verdict.NOT_MEASURED
    assert both.verdict.exit_code == 0


def test_the_tier_of_a_report_is_its_least_real_one():
    assert report(outcome(tier=Tier.REAL), outcome("gpu", tier=Tier.SIMULATED)).tier is Tier.SIMULATED


@pytest.mark.parametrize(("value", "words"), [(4.0, "4"), (2.75, "2.75"), (0.0, "0"), (1.5, "1.5")])
def test_points_read_as_people_write_them(value, words):
    assert number(value) == words
