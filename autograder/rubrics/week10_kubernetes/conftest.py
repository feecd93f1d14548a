"""What the checks of week 10 share: the engine and the cluster that the learner's manifests run on."""

import pytest

from autograder.rubric import progress
from labkit.clusters.guarded import cluster_for_work
from labkit.course import find_course
from labkit.engines.guarded import engine_for_work


@pytest.fixture(scope="session")
def engine():
    """The engine under the cluster; when graded, one of their own."""
    with engine_for_work() as engine:
        yield engine


@pytest.fixture(scope="session")
def cluster(engine):
    """The cluster that WORKBOOK_CLUSTER names, or the embedded one; when graded, one of their own."""
    progress("connecting to the cluster")
    with cluster_for_work(engine) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def handout(lab_name):
    """The lab's folder as it was handed out."""
    return next(
        lab.handout
        for lab in find_course().labs
        if lab.name == lab_name and lab.assignment == "week10_kubernetes"
    )
