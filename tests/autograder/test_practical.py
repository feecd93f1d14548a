"""The five practical tasks: their labs exist, and their points are those of the labs' reports."""

from datetime import UTC, datetime

from autograder.practical import TASKS, practical_tasks
from autograder.results import Outcome, Report
from labkit.course import find_course
from labkit.verdicts import Verdict


def report(lab, points, verdict=Verdict.PASSED):
    outcome = Outcome(check="one", title="is one", verdict=verdict, points=points, maximum=4)
    return Report(lab=lab, started=datetime(2026, 1, 1, tzinfo=UTC), outcomes=[outcome])


def test_each_task_has_labs_that_exist():
    labs = {lab.id for lab in find_course().labs}
    assert len(TASKS) == 5
    assert {lab for each in TASKS.values() for lab in each} <= labs


def test_points_are_added_up_and_what_was_not_run_is_named():
    found = practical_tasks([report("week10/model_deployment", 3, Verdict.FAILED)])
    scaling = found[1]
    assert (scaling.points, scaling.maximum) == (3, 4)
    assert scaling.left_out == ("week10/autoscaling",)
    assert found[0].left_out == ("week09/gpu_images",)


def test_what_a_machine_cannot_measure_is_no_part_of_the_maximum():
    found = practical_tasks([report("week09/gpu_images", 0, Verdict.NOT_MEASURED)])
    assert (found[0].points, found[0].maximum) == (0, 0)
