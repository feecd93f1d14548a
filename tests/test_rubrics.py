"""The grader graded: every answer earns just what it says; outcomes are kept in build/validate."""

import pytest

from autograder.answers import BLANK, answers_of
from autograder.loading import load_rubric
from autograder.validate import validate
from labkit.course import find_course
from labkit.models import reader
from labkit.models.store import models_folder, prepare
from labkit.verdicts import Verdict

COURSE = find_course()


def answers():
    """Every answer of every lab; one whose checks measure time is judged alone, the others two at a time.

    Of those that measure time some are nightly: what is right in another way; what is wrong where the load
    runs on a cluster, which takes a minute an answer; and the references of labs whose notebook runs whole
    with the same checks (`test_labs.py`).
    """
    whole = {labs[0] for labs in COURSE.assignments.values()}
    for lab in COURSE.labs:
        rubric = load_rubric(lab)
        for answer in answers_of(rubric):
            checks = rubric.with_dependencies(list(answer.loses)) if answer.loses else rubric.checks
            timed = [spec for spec in checks if spec.timed] if answer.name != BLANK else []
            on_cluster = any("cluster" in spec.needs for spec in timed)
            again = lab in whole if answer.name == "reference" else on_cluster or not answer.loses
            marks = [pytest.mark.alone] * bool(timed) + [pytest.mark.nightly] * bool(timed and again)
            yield pytest.param(lab, answer.name, id=f"{lab.id}-{answer.name}", marks=marks)


@pytest.mark.parametrize(("lab", "name"), list(answers()))
def test_an_answer_earns_what_it_says(lab, name):
    prepare(models_folder() / "digits", say=lambda _: None)
    reader.prepare(models_folder() / "reader", say=lambda _: None)
    (found,) = validate(lab, COURSE.build / "validate", only=lambda answer: answer.name == name)
    if found.verdict is Verdict.INCONCLUSIVE:
        pytest.skip(f"this machine was too busy to tell: {'; '.join(found.wrong)}")
    assert found.verdict is Verdict.PASSED, "; ".join(found.wrong)


@pytest.mark.parametrize("lab", COURSE.labs, ids=lambda lab: lab.id)
def test_a_rubric_has_enough_answers(lab):
    rubric = load_rubric(lab)
    names = [answer.name for answer in answers_of(rubric)]
    assert "reference" in names
    assert sum(name.startswith(("reference", "right_")) for name in names) >= 2
    assert sum(name.startswith("wrong_") for name in names) >= 8


@pytest.mark.parametrize("lab", COURSE.labs, ids=lambda lab: lab.id)
def test_every_check_is_lost_by_some_wrong_answer(lab):
    rubric = load_rubric(lab)
    lost = {name for answer in answers_of(rubric) if answer.name != "blank" for name in answer.loses}
    assert lost == {spec.name for spec in rubric.checks}
