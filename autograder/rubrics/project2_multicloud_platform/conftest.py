"""What the checks of project 2 share: two object stores, the ways to them, and the learner's files."""

from pathlib import Path

import pytest

from autograder.fixtures import copy_work
from labkit.course import find_course
from labkit.platform import Contents, Promoter
from labkit.storage import EmulatedStore, Gateway, SeaweedStore
from labkit.storage.machines import AWS, GCP

BUCKET = "platform"
GIVEN = ("store.py", "model.py")
HOURS = 3600.0


@pytest.fixture(scope="session")
def handout(lab_name):
    """The lab's folder as it was handed out."""
    return next(lab for lab in find_course().labs if lab.assignment.startswith("project2")).handout


@pytest.fixture(scope="session")
def work(submitted, scratch, handout):
    """A copy of the learner's files, with those that are not theirs as they were handed out."""
    target = copy_work(submitted, scratch / "work")
    for name in GIVEN:
        (target / name).write_bytes((handout / name).read_bytes())
    return target


@pytest.fixture(scope="session")
def seaweed(scratch):
    """A real S3 server."""
    store = SeaweedStore(scratch / "seaweed")
    store.up()
    yield store
    store.kill()  # nobody asks for its data again


@pytest.fixture(scope="session")
def gateway(seaweed):
    """The way to the bucket on it."""
    with Gateway(seaweed.url, BUCKET) as way:
        yield way


@pytest.fixture(scope="session")
def contents(gateway):
    """What is in that bucket."""
    return Contents(gateway)


@pytest.fixture(scope="session")
def emulated(scratch):
    """The way to a bucket on the emulated S3."""
    with EmulatedStore(scratch / "moto") as store, Gateway(store.url, BUCKET) as way:
        yield way


@pytest.fixture(scope="session")
def places(work, scratch, logs):
    """Makes the two machines that use a registry: one in each cloud, and the second's clock is wrong."""
    made = []

    def make(way, name):
        folders = {"scratch": Path(scratch), "logs": logs}
        pair = [
            Promoter(work, way, name=f"{name}-aws", place=AWS, **folders),
            Promoter(work, way, name=f"{name}-gcp", place=GCP, clock=-7 * HOURS, **folders),
        ]
        made.extend(pair)
        return pair

    yield make
    for promoter in made:
        promoter.close()


@pytest.fixture(scope="session")
def promoters(gateway, places):
    """Two machines that use the registry on the real server."""
    return places(gateway, "registry")
