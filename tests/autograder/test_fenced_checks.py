"""Checks of a learner's server give the same outcomes when it runs in a sandbox, as it does in grading."""

from __future__ import annotations

import os
import shutil

import pytest

from autograder import resources
from autograder.checking import run_checks
from autograder.loading import load_rubric
from autograder.nbgrading.runner import can_isolate
from autograder.validate import answers_of
from labkit.course import find_course
from labkit.engines import fenced, machine, places
from labkit.errors import Unavailable
from labkit.isolation import isolation
from labkit.verdicts import Verdict

LAB = find_course().lab("week11/fastapi_server")


@pytest.mark.parametrize("fenced", [True, False])
@pytest.mark.parametrize(("name", "lost"), [("reference", set()), ("wrong_pickle", {"safe_weights"})])
def test_a_server_is_judged_the_same_behind_a_fence(tmp_path, name, lost, fenced) -> None:
    if fenced and not can_isolate():
        pytest.skip("there is no sandbox (apt-get install bubblewrap)")
    answer = next(answer for answer in answers_of(load_rubric(LAB)) if answer.name == name)
    work = answer.lay(tmp_path / LAB.assignment)
    report = run_checks(
        LAB, work, parts=["safe_weights", "health"], grading=True, fenced=fenced, logs=tmp_path
    )
    assert {o.check for o in report.outcomes if o.verdict is Verdict.FAILED} == lost, report
    assert {o.verdict for o in report.outcomes} <= {Verdict.PASSED, Verdict.FAILED}


def test_without_a_sandbox_nothing_is_run_unfenced_by_mistake(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    isolation.require.cache_clear()
    try:
        with pytest.raises(Unavailable, match="bubblewrap is not installed"):
            run_checks(LAB, tmp_path, fenced=True, logs=tmp_path)
    finally:
        monkeypatch.undo()
        isolation.require.cache_clear()


def test_an_image_is_built_and_run_behind_its_guard(tmp_path) -> None:
    """Cheaply: an image without a model, whose server says who it is, and answers no prediction."""
    if not can_isolate():
        pytest.skip("there is no sandbox (apt-get install bubblewrap)")
    if why := fenced.lacks():
        pytest.skip(str(why))
    lab = find_course().lab("week09/multistage_builds")
    work = tmp_path / lab.assignment
    shutil.copytree(lab.handout, work / lab.name)
    (work / lab.name / "Dockerfile").write_text(
        'FROM python:3.11-slim\nCMD ["python3", "-m", "http.server", "8080"]\n'
    )
    report = run_checks(lab, work, parts=["answers"], fenced=True, logs=tmp_path)
    outcome = next(o for o in report.outcomes if o.check == "answers")
    assert outcome.evidence.startswith("POST /predict answered 501"), outcome
    assert not list(places.kept("grading").glob(f"images-{os.getpid()}-*"))


def test_where_images_have_no_guard_they_are_not_run(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(machine, "lacks", lambda: ("It needs root.", "Become root."))
    monkeypatch.setattr(resources, "start", lambda wanted, fenced: None)
    with pytest.raises(Unavailable, match=r"There is no guard for images here\. It needs root\."):
        resources.require("engine", fenced=True)
