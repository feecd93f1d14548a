"""The hour in a picture, in words, on a page and as JSON: everything that happened is on it."""

import json
from dataclasses import replace

import pytest

from autograder.production.contract import ERRORS
from autograder.production.hour import Happened
from autograder.production.report import DATA, PAGE, write_report
from autograder.production.script import BAD, HOUR, Event
from autograder.production.timeline import timeline, words
from tests.autograder.projects.hours import BEGAN, Service, one_in


@pytest.fixture(scope="module")
def seen():
    return Service(lost={BAD: one_in(20)}).seen()


@pytest.fixture(scope="module")
def report(seen, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hour")
    write_report(seen, folder, seconds=432.1)
    return folder


def test_words_name_every_part_event_and_alert(seen):
    said = words(seen)
    for part in HOUR:
        assert f"s: {part.name}, {part.rate:g} to {part.end_rate:g} requests/s;" in said
    for each in seen.happened:
        assert f"{each.at - BEGAN:.0f} s: {each.what}." in said
    assert f"alert {ERRORS} fires" in said
    assert f"alert {ERRORS} is over" in said


def test_words_count_what_was_lost(seen):
    recording = seen.of(BAD)
    assert recording.misses > 100
    assert f"{recording.requests:,} requests, {recording.misses} missed" in words(seen)


def test_a_part_without_any_answer_is_said_to_be_so():
    assert "nothing answered" in words(Service(lost={"steady": one_in(1)}).seen())


def test_the_picture_has_three_axes_with_every_event_on_the_first(seen):
    figure = timeline(seen).figure
    latency, load, alerts = figure.axes[:3]
    written = [text.get_text().strip() for text in latency.texts]
    assert {each.what for each in seen.happened} <= set(written)
    assert {part.name for part in HOUR} <= set(written)
    assert load.get_ylabel() == "requests/s"
    assert [label.get_text() for label in alerts.get_yticklabels()] == sorted({a.name for a in seen.alerts})


def test_an_alert_that_never_ends_reaches_to_the_end():
    figure = timeline(Service(alerts=[("Stuck", "steady")]).seen()).figure
    alerts = figure.axes[2]
    longest = max(bar.get_x() + bar.get_width() for bar in alerts.patches)
    assert longest == pytest.approx(sum(part.seconds + 1 for part in HOUR) - 1)


def test_an_hour_without_alerts_can_be_drawn():
    figure = timeline(Service(quiet=[ERRORS, "LabelsDown"]).seen()).figure
    assert figure.axes[2].get_title() == "No alert fired"


def test_the_json_holds_what_the_page_says(report):
    plain = json.loads((report / DATA).read_text())
    assert (plain["points"], plain["of"], plain["seconds"]) == (100.0, 100.0, 432.1)
    assert [part["name"] for part in plain["parts"]] == [part.name for part in HOUR]
    assert sum(each["maximum"] for each in plain["promises"]) == 100
    assert plain["releases"]["bad release"]["ended"] == "taken back by an alert"
    assert plain["traces"] == {"sent": 100, "joined": 100}
    page = (report / PAGE).read_text()
    for each in plain["promises"]:
        assert f"<th scope='row'>{each['name']}</th>" in page


def test_the_page_needs_nothing_from_elsewhere_and_says_what_a_drain_was(report):
    page = (report / PAGE).read_text()
    assert "100 of 100 points" in page
    assert "the drain evicts them one by one" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page


def test_what_a_cluster_says_can_not_write_on_the_page(tmp_path):
    seen = Service().seen()
    seen.happened.append(Happened("<script>alert(1)</script>", BEGAN + 2))
    seen.releases[Event.UPDATE] = replace(seen.releases[Event.UPDATE], why="<img src=x onerror=alert(2)>")
    write_report(seen, tmp_path, seconds=1)
    page = (tmp_path / PAGE).read_text()
    assert "<script>alert" not in page
    assert "<img src=x" not in page
