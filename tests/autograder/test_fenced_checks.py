"""Checks of a learner's server give the same outcomes when it runs in a sandbox, as it does in grading."""

from __future__ import annotations

import pytest

from autograder.checking import run_checks
from autograder.loading import load_rubric
from autograder.nbgrading.runner import can_isolate
from autograder.validate import answers_of
from labkit.course import find_course
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


def test_what_has_no_guard_is_not_run_for_handed_in_work(tmp_path) -> None:
    if not can_isolate():
        pytest.skip("there is no sandbox (apt-get install bubblewrap)")
    lab = find_course().lab("week09/multistage_builds")
    rubric = load_rubric(lab)
    reference = next(answer for answer in answers_of(rubric) if answer.name == "reference")
    report = run_checks(lab, reference.lay(tmp_path / lab.assignment), fenced=True, logs=tmp_path)
    unguarded = {spec.name for spec in rubric.checks if "engine" in spec.needs}
    assert unguarded
    found = {o.check: o for o in report.outcomes if o.check in unguarded}
    assert not [o for o in found.values() if o.verdict is Verdict.PASSED]
    assert any("no guard" in o.evidence for o in found.values()), report
