"""Both judges on a sample team's submissions at three levels: real clusters, stores and loads; nightly."""

import itertools

import pytest

from autograder.multicloud.day import live_through
from autograder.production.hour import run_hour
from autograder.production.script import SHORT, Event
from autograder.production.verdicts import promises, score
from labkit.errors import Unavailable
from labkit.verdicts import Verdict
from tests.autograder.projects.teams import LEVELS, TEAMS, project, submission


@pytest.mark.parametrize(("name", "level"), list(itertools.product(TEAMS, LEVELS)))
def test_each_level_is_handed_in_whole(name, level, tmp_path):
    work = submission(name, level, tmp_path)
    handed_out = {path.relative_to(project(name).handout) for path in project(name).handout.rglob("*")}
    assert handed_out <= {path.relative_to(work) for path in work.rglob("*")}


def test_each_level_has_the_faults_of_those_above(tmp_path):
    planner, serve = (
        {level: (submission(name, level, tmp_path / name / level) / file).read_text() for level in LEVELS}
        for name, file in (("project2", "planner.py"), ("project1", "release.yaml"))
    )
    for files in (planner, serve):
        assert files["good"] != files["weaker"] == files["wrong"]


@pytest.fixture(scope="module")
def hours(tmp_path_factory):
    """What the judge of project 1 found of each level, in an hour's short form."""
    labels = (project("project1").handout / "labels.py").read_text()
    found = {}
    for level in LEVELS:
        folder = tmp_path_factory.mktemp(level)
        try:
            found[level] = run_hour(
                submission("project1", level, folder / "work"), labels, folder / "state", script=SHORT
            )
        except Unavailable as error:
            pytest.skip(str(error))
    return found


@pytest.fixture(scope="module")
def days(tmp_path_factory):
    """What the judge of project 2 found of each level, in a day with fewer promotions."""
    found = {}
    for level in LEVELS:
        folder = tmp_path_factory.mktemp(level)
        try:
            work = submission("project2", level, folder / "work")
            found[level] = live_through(work, folder / "logs", say=print, short=True)
        except Unavailable as error:
            pytest.skip(str(error))
    return found


@pytest.mark.nightly
@pytest.mark.alone
def test_the_hour_puts_the_levels_in_order(hours):
    good, weaker, wrong = (score(promises(hours[level]))[0] for level in LEVELS)
    assert wrong < weaker < good


@pytest.mark.nightly
@pytest.mark.alone
def test_the_hour_finds_what_each_level_lacks(hours):
    missed = {
        level: {each.name for each in promises(seen) if each.found.verdict is Verdict.FAILED}
        for level, seen in hours.items()
    }
    assert not missed["good"]
    assert {"scaling", "bad release"} <= missed["weaker"]
    assert missed["weaker"] | {"latency", "availability"} <= missed["wrong"]


@pytest.mark.nightly
@pytest.mark.alone
def test_the_hour_has_seen_every_event(hours):
    for seen in hours.values():
        assert [part for part, _, _ in seen.parts] == list(SHORT)
        done = " ".join(each.what for each in seen.happened)
        for event in (Event.UPDATE, Event.BAD_RELEASE):
            assert event.value in done
        assert "a pod is killed" in done
        assert "labels back" in done


@pytest.mark.nightly
def test_the_day_puts_the_levels_in_order(days):
    (good, all_of_them), (weaker, _), (wrong, _) = (days[level].score for level in LEVELS)
    assert good == all_of_them == 5
    assert wrong < weaker < good


@pytest.mark.nightly
def test_the_day_finds_what_each_level_lacks(days):
    missed = {
        level: {name for name, each in day.found.items() if each.verdict is Verdict.FAILED}
        for level, day in days.items()
    }
    assert not missed["good"]
    assert missed["weaker"] == {"prices move", "the edge is cut off"}
    assert {"prices move", "training goes on", "promotions race", "the edge is cut off"} <= missed["wrong"]
