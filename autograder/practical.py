"""The course's five practical tasks: which labs they are, and what was earned there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from autograder.results import Report

TASKS = {
    "Containerize an ML application with GPU support": ("week09/gpu_images",),
    "Deploy a model on Kubernetes with auto-scaling": ("week10/model_deployment", "week10/autoscaling"),
    "Implement A/B testing for models": ("week10/releases",),
    "Create infrastructure as code for ML": (
        *("week12/model_storage", "week12/gpu_cluster", "week12/cost"),
        *("week12/testing_infrastructure", "week12/multicloud"),
    ),
    "Optimize model serving latency": ("week11/fastapi_server",),
}


@dataclass(frozen=True)
class Earned:
    """What a task's labs earned together.

    Attributes:
        task: In the words of the course.
        labs: The ids of its labs.
        points: Earned by checks.
        maximum: What the checks that could be measured are worth.
        left_out: Labs of which there is no report.
    """

    task: str
    labs: tuple[str, ...]
    points: float
    maximum: float
    left_out: tuple[str, ...]


def practical_tasks(reports: Iterable[Report]) -> list[Earned]:
    """What the reports say of each task.

    Args:
        reports: Of labs, in any order.
    """
    known = {report.lab: report for report in reports}
    found = []
    for task, labs in TASKS.items():
        seen = [known[lab] for lab in labs if lab in known]
        points, maximum = sum(report.points for report in seen), sum(report.maximum for report in seen)
        found.append(Earned(task, labs, points, maximum, tuple(lab for lab in labs if lab not in known)))
    return found
