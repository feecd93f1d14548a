"""A week of manifests from release to points: a small cohort, each on a cluster and an engine of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import yaml

from autograder import resources
from autograder.answers import REFERENCE, answers_of
from autograder.cohort import Member, lay_cohort
from autograder.handouts import lay_tree
from autograder.loading import load_rubric
from autograder.nbgrading import Settings, Summary, export, feedback, grade, release
from autograder.nbgrading.settings import Folders
from autograder.results import Outcome
from labkit.course import Course, Lab
from labkit.engines import fenced
from labkit.errors import Unavailable
from labkit.verdicts import Verdict

pytestmark = [pytest.mark.nightly, pytest.mark.alone]

REPOSITORY = Path(__file__).resolve().parents[2]
WEEK = "week10_kubernetes"
LIVE = ("week10/autoscaling", "week10/releases", "week10/kubeflow")
"""The labs whose live checks are run; the others' files are judged."""
RIGHT, HOSTILE = "right", "hostile"
WRONG = ("week10/kubeflow", "wrong_v1_only")
"""An honest mistake among the hostile one's work, which shows when its server is asked."""


def small_cohort(labs: list[Lab]) -> list[Member]:
    """One who has all of it, and one whose manifests ask for the machine."""
    known = {lab.id: {answer.name: answer for answer in answers_of(load_rubric(lab))} for lab in labs}
    right = {lab: answers[REFERENCE] for lab, answers in known.items()}
    lab, name = WRONG
    mistaken = replace(known[lab][name], upon=right[lab].folder)
    return [
        Member(RIGHT, "full marks", right, "well", solves=True),
        Member(HOSTILE, "asks for the machine", {**right, lab: mistaken}, solves=True, tamper=_reach_out),
    ]


def _reach_out(target: Path, labs: list[Lab]) -> None:
    """Manifests that are right, and ask for more than a guest may have."""
    _change(target / "03_autoscaling" / "deployment.yaml", hostNetwork=True, hostPID=True)
    volumes = [
        {"name": "code", "configMap": {"name": "model-code"}},
        {"name": "machine", "hostPath": {"path": "/"}},
    ]
    _change(target / "04_releases" / "green.yaml", volumes=volumes)


def _change(path: Path, **fields: object) -> None:
    thing = yaml.safe_load(path.read_text())
    thing["spec"]["template"]["spec"].update(fields)
    path.write_text(yaml.safe_dump(thing))


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Course:
    """A course of this week alone, with a gradebook of its own."""
    root = tmp_path_factory.mktemp("week10")
    (root / "weeks").mkdir()
    (root / "weeks" / WEEK).symlink_to(REPOSITORY / "weeks" / WEEK, target_is_directory=True)
    return Course(root)


@pytest.fixture(scope="module")
def graded(course: Course) -> Iterator[Summary]:
    """What grading the small cohort found."""
    if why := fenced.lacks():
        pytest.skip(str(why))
    needed = {
        resource
        for lab in course.labs
        if lab.id in LIVE
        for spec in load_rubric(lab).checks
        for resource in spec.needs
    }
    resources.start(needed, fenced=True, labs=course.labs)
    try:
        for resource in sorted(needed):
            resources.require(resource, fenced=True)
    except Unavailable as lacking:
        pytest.skip(str(lacking))
    lay_tree(course)
    release(WEEK, course=course)
    lay_cohort(WEEK, small_cohort, course=course)
    fenced.clear()
    yield grade(WEEK, course=course, settings=Settings(live_labs=LIVE), jobs=2)
    assert fenced.clear() == 0, "an engine for grading was not ended in order"
    assert psutil.Process().children(recursive=True) == []


def outcomes(graded: Summary, learner: str) -> dict[str, Outcome]:
    """By `lab check`, what was found of the labs that ran."""
    (record,) = (each for each in graded.records if each.learner == learner)
    return {
        f"{lab.lab.removeprefix('week10/')} {outcome.check}": outcome
        for lab in record.labs
        if lab.report is not None and lab.lab in LIVE
        for outcome in lab.report.outcomes
    }


def lost(found: dict[str, Outcome]) -> set[str]:
    """What cost points; a check of time that could not be decided on a busy machine waits for a person."""
    return {name for name, one in found.items() if one.verdict is Verdict.FAILED}


def test_nothing_goes_wrong_on_our_side(graded: Summary) -> None:
    assert [error.message for error in graded.own_errors] == []
    assert {record.learner: record.status for record in graded.records} == dict.fromkeys(
        (RIGHT, HOSTILE), "graded"
    )


def test_who_is_right_loses_nothing(graded: Summary) -> None:
    found = outcomes(graded, RIGHT)
    assert {name: one.evidence for name, one in found.items() if one.points < one.maximum} == {}


def test_who_asks_for_the_machine_is_told_what_no_guest_has(graded: Summary) -> None:
    found = outcomes(graded, HOSTILE)
    refused = {"autoscaling metrics", "releases switch", "releases exposures"}
    assert lost(found) == refused | {"kubeflow v2"}
    assert "spec.template.spec.hostNetwork" in found["autoscaling metrics"].evidence
    for name in ("releases switch", "releases exposures"):
        assert "spec.template.spec.volumes[1].hostPath" in found[name].evidence
    assert found["autoscaling live"].verdict is Verdict.BLOCKED


def test_scores_and_feedback_are_there(graded: Summary, course: Course) -> None:
    feedback(WEEK, course=course)
    pages = Folders.of(course).feedback(HOSTILE, WEEK)
    assert "hostNetwork" in (pages / "03_autoscaling.html").read_text()
    rows = export(WEEK, course=course).read_text().splitlines()
    assert len(rows) == 1 + 2 * len(course.labs)
