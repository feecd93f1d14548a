"""Lab week11/serving_frameworks: a framework chosen by measurement, a deployment that keeps an objective."""

import json
import math
import random
import shutil
from dataclasses import dataclass

import numpy as np
import pytest

from autograder.fixtures import copy_work
from autograder.rubric import after, credit, hidden, needs, points, progress, reading, require
from labkit.errors import WorkFault
from labkit.load import Outcome
from labkit.models import models_folder
from labkit.serving import Caller, Deployment, Endpoint, FrameworkServer, NoAnswer, server_for
from labkit.serving.workload import SINGLE, Workload
from labkit.slo import Objective, measure_until_decided

the_choice = reading(
    "the_choice",
    points=3,
    criteria=[
        (1, "names the framework and at least two measured figures (start, memory, p99, rate, cost) for it"),
        (1, "says where the figures don't tell two servers apart, and decides by something else there"),
        (1, "names a situation in which the answer would be another one, and why"),
    ],
)

TOLERANCE = 1e-3
SECONDS = 8
OBJECTIVE = Objective(milliseconds=100, quantile=0.99, confidence=0.99)
MOST_LOST = 0.01


@dataclass(frozen=True)
class Drawn:
    """The load that is drawn for one run of the checks.

    Attributes:
        rate: Single images a second.
        batch_rows: Images of a batch request.
        batches_per_second: How often one comes.
        seed: Of the arrivals.
    """

    rate: int
    batch_rows: int
    batches_per_second: float
    seed: int

    def __str__(self):
        return (
            f"{self.rate} single images/s and {self.batch_rows} at once {self.batches_per_second:g} times/s"
        )


def draw():
    chance = random.SystemRandom()
    return Drawn(
        rate=chance.randrange(70, 111, 10),
        batch_rows=chance.choice((16, 32, 48)),
        batches_per_second=chance.choice((1, 2, 3)),
        seed=chance.randrange(1_000_000),
    )


# ---- what is judged ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Running:
    """The learner's deployment, started."""

    server: FrameworkServer
    endpoint: Endpoint
    caller: Caller

    def scores(self, rows):
        """The scores of these rows; a WorkFault if none come."""
        try:
            return self.caller.predict(rows)
        except NoAnswer as error:
            raise WorkFault(f"{len(rows)} good image(s) got no scores: {error}.") from error


@pytest.fixture(scope="session")
def model(submitted, scratch):
    """The model's folder: the learner's files, and the model that was handed out."""
    folder = copy_work(submitted, scratch / "model")
    shutil.copyfile(models_folder() / "digits" / "model.onnx", folder / "model.onnx")
    return folder


@pytest.fixture(scope="session")
def running(submitted, model, logs):
    progress("starting the deployment")
    deployment = Deployment.read(submitted / "deployment.toml")
    with server_for(deployment, log=logs / "03_serving_frameworks.log") as server:
        endpoint = server.start(model)
        with server.caller(endpoint) as caller:
            yield Running(server, endpoint, caller)


@pytest.fixture(scope="session")
def images(digits):
    return digits.images.astype(np.float32)


@pytest.fixture(scope="session")
def drawn():
    return draw()


@pytest.fixture(scope="session")
def measured(running, images, digits, drawn):
    """The drawn load, sent until the verdict on its single images is clear."""
    workload = Workload(
        rows=images[:200],
        answers=digits.scores[:200],
        batch_rows=drawn.batch_rows,
        batches_per_second=drawn.batches_per_second,
        tolerance=TOLERANCE,
    )

    def send(attempt):
        return workload.send(
            running.endpoint,
            running.server.dialect,
            rate=drawn.rate,
            seconds=SECONDS,
            seed=drawn.seed + attempt,
            progress=lambda now: progress(str(drawn), max(0.0, now.of_seconds - now.seconds)),
        )

    return measure_until_decided(send, OBJECTIVE, kind=SINGLE)


def recorded(submitted, name):
    """A value that the notebook has recorded."""
    file = submitted / "answers.json"
    if not file.is_file():
        raise WorkFault(
            "No answer is recorded yet.", next_step="Run the cell that records your function's values."
        )
    try:
        return json.loads(file.read_text())[name]
    except (ValueError, KeyError, TypeError) as error:
        raise WorkFault(
            f"answers.json holds no {name}.", next_step="Run the cell that records it again."
        ) from error


# ---- the checks -------------------------------------------------------------------------------------------


@points(
    2,
    hints=[
        "Go up the ladder from the lowest rate and stop at the first one that misses.",
        "A rate above it that kept the objective was luck, or measured on another day: it does not count.",
        "Sort by rate first: the steps may come in any order. If the lowest step misses, the answer is 0.",
    ],
)
def test_highest_rate(submitted):
    """finds the highest rate that keeps an objective"""
    wanted = {"rate_1": 200, "rate_2": 400, "rate_3": 0, "rate_4": 300}
    right = sum(recorded(submitted, name) == rate for name, rate in wanted.items())
    credit(
        right,
        len(wanted),
        f"{right} of {len(wanted)} ladders",
        cause="Look at a ladder whose steps are not in order, and one with a good step above a bad one.",
    )


@points(
    1,
    hints=[
        "How many requests does an hour hold at that rate, and at that part of it?",
        "Dollars an hour divided by requests an hour, times a million.",
    ],
)
def test_cost(submitted):
    """knows what a million answers cost"""
    wanted = {"usd_busy": 0.12395833, "usd_mostly_idle": 1.2395833}
    given = {name: recorded(submitted, name) for name in wanted}
    close = all(
        isinstance(given[name], int | float) and math.isclose(given[name], usd, rel_tol=1e-3)
        for name, usd in wanted.items()
    )
    require(
        close,
        "a busy hour and a mostly idle one are priced rightly" if close else f"not {given}",
        cause="An idle server costs as much an hour as a busy one.",
    )


@points(
    1,
    hints=[
        "framework is the name in the first column of the notebook's table.",
        "Not every framework puts requests together or has several workers: the message says which can't.",
    ],
)
def test_deployment(submitted):
    """describes a deployment that its framework can do"""
    deployment = Deployment.read(submitted / "deployment.toml")
    server = server_for(deployment)
    require(True, f"{server.title}: {deployment.workers} worker(s), batches of {deployment.batch_size}")


@after("test_deployment")
@points(
    2,
    hints=[
        "Ask your server for two different images, alone and together, and compare.",
        "predict gets all rows of a request: the session runs them in one go, in order.",
    ],
)
@needs("server")
def test_predictions(running, images, digits):
    """answers the reference predictions"""
    same = 0
    parts = [slice(number, number + 1) for number in range(40)] + [slice(40, 60), slice(60, 200)]
    for part in parts:
        given = running.scores(images[part])
        wanted = digits.scores[part]
        if given.shape != wanted.shape:
            raise WorkFault(f"{len(wanted)} image(s) got scores of shape {given.shape}, not {wanted.shape}.")
        same += int((np.abs(given - wanted) <= TOLERANCE).all(axis=1).sum())
    credit(same, 200, f"{same} of 200 within {TOLERANCE}", cause="The model is fine: look at the handler.")


@hidden
@after("test_predictions")
@points(2)
@needs("server")
def test_never_stale(running, images, model):
    """computes every answer: images that look alike to a cache get scores of their own"""
    import onnxruntime

    session = onnxruntime.InferenceSession(model / "model.onnx", providers=["CPUExecutionProvider"])
    # The same grey levels in another order, and one point of a hundred moved: most keys are the same.
    base = images[200:220]
    alike = [np.roll(base, 28 * 3, axis=1), base[:, ::-1], base.reshape(-1, 28, 28).transpose(0, 2, 1)]
    rows = [base, *(each.reshape(-1, 784).astype(np.float32) for each in alike)]
    same = 0
    for group in rows:
        (wanted,) = session.run(None, {"images": np.ascontiguousarray(group)})
        given = running.scores(np.ascontiguousarray(group))
        same += int((np.abs(given - wanted) <= TOLERANCE).all(axis=1).sum())
    total = sum(len(group) for group in rows)
    credit(same, total, f"{same} of {total} within {TOLERANCE}", cause="Something answers from memory.")


@after("test_predictions")
@points(
    3,
    hints=[
        "What does predict do for each image that it could do once, when the server starts?",
        "A request that waits for others to be put together with waits within its own 100 ms.",
        "One session for all requests, one run for all rows, threads as the deployment says, and a delay of "
        "a few milliseconds at most.",
    ],
)
@needs("quiet machine")
def test_latency(measured, drawn):
    """p99 of single images under 100 ms, at a load that the check draws"""
    last = measured.recordings[-1].only(SINGLE)
    require(True, str(drawn))
    require(measured.judgement, cause=why_late(last))


@after("test_predictions")
@points(
    2,
    hints=[
        "Every request of this load can be answered: look at the status codes in the server's log.",
        "A request with many rows is a request like others.",
    ],
)
@needs("quiet machine")
def test_nothing_dropped(measured):
    """answers every kind of request, not the convenient ones alone"""
    shares = {}
    for kind in measured.recordings[-1].kinds:
        runs = [each.only(kind).measured() for each in measured.recordings]
        lost = sum(count for run in runs for how, count in run.outcomes().items() if how in LOST)
        shares[kind] = (lost, sum(run.requests for run in runs))
    said = ", ".join(f"{lost} of {total} {kind} requests" for kind, (lost, total) in shares.items())
    kept = all(lost <= MOST_LOST * total for lost, total in shares.values())
    require(kept, f"lost: {said}", cause="They got an error, a wrong answer or a closed connection.")


LOST = (Outcome.WRONG_STATUS, Outcome.WRONG_ANSWER, Outcome.REFUSED, Outcome.BROKEN)


def why_late(singles):
    """What most single images that missed had in common."""
    seen = singles.outcomes()
    lost = sum(seen.get(each, 0) for each in LOST)
    latency = singles.latency_ms
    finite = latency[np.isfinite(latency)]
    if lost > singles.requests / 50:
        return f"{lost} of {singles.requests} got no right answer at all."
    if len(finite) and np.quantile(finite, 0.1) > OBJECTIVE.milliseconds / 2:
        return (
            f"Even the quickest tenth took {np.quantile(finite, 0.1):.0f} ms: each request waits, or is slow."
        )
    return "Most were quick: those that were late waited behind others."
