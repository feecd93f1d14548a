"""What the checks of project 2 share: two object stores, the ways to them, and the learner's files."""

import importlib.util
import pickle
import time
from pathlib import Path

import pytest

from autograder.fixtures import copy_work
from autograder.rubric import progress
from autograder.rubrics.project2_multicloud_platform.settings import (
    ARTIFACTS,
    CASES,
    EACH,
    EDGE,
    EVERY,
    KILLED_AT,
    MODEL,
    PLAN_SECONDS,
    POLL,
    STAGE,
    STEPS,
    WARNED_AT,
)
from labkit.course import find_course
from labkit.errors import WorkFault
from labkit.isolation.functions import LearnerFunction
from labkit.platform import Contents, Device, Promoter, TrainingRun, training_data, weights
from labkit.platform.data import arrays_of
from labkit.platform.offers import cases
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


# ---- what several checks look at ---------------------------------------------------------------------------


class _Data:
    """The training data as a bucket, for our own training."""

    def __init__(self, objects):
        self.read = lambda key: (objects[key], "")


@pytest.fixture(scope="session")
def model(handout):
    """The handed-out model.py, as ours."""
    spec = importlib.util.spec_from_file_location("handed_out_model", handout / "model.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def data(contents):
    """The training's data, put into the bucket."""
    objects, held_out = training_data(STEPS)
    for key, content in objects.items():
        contents.put(key, content)
    return objects, held_out


@pytest.fixture(scope="session")
def expected(model, data):
    """What training gives that nothing interrupts, by number of steps."""

    def after_steps(steps):
        network, optimizer = model.new_model()
        for step in range(steps):
            model.train_step(network, optimizer, *model.batch(_Data(data[0]), step))
        return arrays_of(model.artifact(network))

    return after_steps


@pytest.fixture(scope="session")
def training(work, gateway, scratch, logs, data):
    """Makes a training of the learner's."""

    def make(run, steps=STEPS):
        return TrainingRun(
            *(work, gateway), scratch=scratch, logs=logs, run=run, steps=steps, checkpoint_every=EVERY
        )

    return make


@pytest.fixture(scope="session")
def interrupted(training):
    """A training that three machines work on: the first gets a notice, the second is gone without one."""
    run = training("interrupted")
    progress("training on a spot machine that gets its notice", 12)
    run.leg(AWS, warn_at=WARNED_AT)
    progress("training on in another cloud, on a machine that is gone without a notice", 8)
    run.leg(GCP, kill_at=KILLED_AT, clock=-7200)
    progress("training on to the end", 4)
    run.leg(AWS)
    return run


@pytest.fixture(scope="session")
def damaged(training, contents):
    """A training whose newest checkpoint is damaged between two machines."""
    run = training("damaged")
    progress("training until the machine is gone; then its newest checkpoint is damaged", 8)
    run.leg(GCP, kill_at=KILLED_AT)
    contents.damage(run.newest_state())
    progress("training on from the checkpoint before", 4)
    run.leg(AWS)
    return run


@pytest.fixture(scope="session")
def racing(promoters, contents):
    """A model with as many versions as race."""
    for number in range(2 * EACH + 1):
        promoters[0].call("register", MODEL, weights(200 + number), {})
    return promoters


class _Unpickled:
    """Leaves a file where it is unpickled."""

    def __reduce__(self):
        return exec, ("open('unpickled', 'w').close()",)


@pytest.fixture(scope="session")
def device(work, gateway, contents, scratch, logs):
    """The learner's device, with version 1 in production."""
    for version, artifact in ARTIFACTS.items():
        contents.publish(EDGE, version, artifact)
    contents.publish(EDGE, 3, weights(403), sha256="0" * 64)
    contents.publish(EDGE, 4, pickle.dumps(_Unpickled()))
    contents.publish(EDGE, 5, b"\x08\x00\x00\x00\x00\x00\x00\x00{}      ")
    contents.set_stage(EDGE, STAGE, [1])
    variables = {"MODEL": EDGE, "POLL_SECONDS": str(POLL)}
    with Device(work, gateway, scratch=scratch, logs=logs, environment=variables) as made:
        made.start()
        yield made


@pytest.fixture(scope="session")
def planned(work, logs):
    """What the learner would choose in each of the cases, and how long all of them took."""
    tried = list(cases(CASES))
    progress(f"planning {CASES} jobs")
    chosen = []
    with LearnerFunction("planner:plan", work, log=logs / "planner.log", seconds=PLAN_SECONDS) as plan:
        plan(tried[0].job, tried[0].offers)  # starting its process is not planning
        begun = time.monotonic()
        for case in tried:
            chosen.append(plan(case.job, case.offers))
            if time.monotonic() > begun + PLAN_SECONDS:
                raise WorkFault(
                    f"{len(chosen)} of {CASES} plans took {PLAN_SECONDS:.0f} s.",
                    why="Trying every number of machines of every offer takes too long.",
                )
        return tried, chosen, time.monotonic() - begun
