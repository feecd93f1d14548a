"""Lab week11/fastapi_server: a model server that is right, safe and observable."""

import json
import pickle

import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from autograder.rubric import after, credit, hidden, needs, points, progress, reading, require
from autograder.rubrics.week11_serving.mixed_load import (
    ANSWER_SECONDS,
    TOLERANCE,
    flood,
    mixed_load,
    why_missed,
)
from autograder.served import Served
from labkit.errors import WorkFault
from labkit.isolation.guard import FOLDER
from labkit.load import Outcome
from labkit.slo import Objective, measure_until_decided
from labkit.slo.judge import excuse
from labkit.verdicts import Judgement, Verdict

who_waits = reading(
    "who_waits",
    points=2,
    criteria=[
        (1, "single images that came during the bulk request waited until the event loop was free again"),
        (1, "each of them waited for the same moment, so whoever came later waited less: the falling line"),
    ],
)
why_the_pickle_ran = reading(
    "why_the_pickle_ran",
    points=2,
    criteria=[
        (1, "loading a pickle calls what the file names, so it is a program; safetensors holds tensors only"),
        (1, "names a way that such a file reaches a server: a hub, a colleague, a shared bucket"),
    ],
)

OBJECTIVE = Objective(milliseconds=100, quantile=0.99, confidence=0.99)
FLOODS = (32, 64, 128)


@points(
    1,
    hints=[
        "If one request is on time with probability q, how probable is it that n in a row are?",
        "You may claim the promise when q to the power n is at most 1 - confidence. Solve for n.",
        "n is the logarithm of (1 - confidence) over that of q, rounded up.",
    ],
)
def test_requests_needed(submitted):
    """knows how many requests a promise needs"""
    file = submitted / "answers.json"
    if not file.is_file():
        raise WorkFault(
            "No answer is recorded yet.", next_step="Run the cell that records your function's values."
        )
    try:
        answers = json.loads(file.read_text())
        given = [answers["p99"], answers["availability_999"]]
    except (ValueError, KeyError, TypeError) as error:
        raise WorkFault(
            "answers.json is not what the notebook writes.", next_step="Run the cell that records it again."
        ) from error
    right = sum(a == b for a, b in zip(given, [459, 4603], strict=True))
    credit(right, 2, f"{right} of 2 numbers", cause="Try it on paper: 0.99 to the power of your number.")


@points(
    3,
    hints=[
        "The seed's server answers this one: read how it turns the body into a tensor.",
        "One row of scores for each image, in the order of the request, under the key prediction.",
        "model.py's class, load_state_dict(load_file('model.safetensors')), then eval().",
    ],
)
@needs("server")
def test_predictions(server, digits):
    """answers the reference predictions"""
    # The brightest point of all of these is 255; the hidden check has others.
    known = np.flatnonzero(digits.images.max(axis=1) == 255)[:200]
    requests = [known[i : i + 1] for i in range(50)] + [known[50:57], known[57:]]
    same = 0
    for rows in requests:
        same += agreeing(server, digits.images[rows], digits.scores[rows])
    credit(same, 200, f"{same} of 200 within {TOLERANCE}", cause="Compare with seed_server.py's answers.")


@hidden
@after("test_predictions")
@points(1)
@needs("server")
def test_unseen_images(server, digits):
    """gives the same answers for images that it was never shown here"""
    dim = np.flatnonzero(digits.images.max(axis=1) < 255)[:20]
    same = agreeing(server, digits.images[dim], digits.scores[dim])
    credit(same, len(dim), f"{same} of {len(dim)} within {TOLERANCE}")


def bad_requests(images):
    """Twelve kinds of bodies that hold no images: what it is, and the body."""
    good = images[0].tolist()
    return {
        "not JSON": b"digits, please",
        "an empty body": b"",
        "a list instead of an object": b"[1, 2, 3]",
        "no features": b'{"pixels": [[0]]}',
        "null": b'{"features": null}',
        "no image at all": b'{"features": []}',
        "one pixel short": json.dumps({"features": [good[:-1]]}).encode(),
        "images of two lengths": json.dumps({"features": [good, good[:500]]}).encode(),
        "numbers as text": json.dumps({"features": [[str(pixel) for pixel in good]]}).encode(),
        "a null among the pixels": json.dumps({"features": [[None, *good[1:]]]}).encode(),
        "NaN": json.dumps({"features": [[float("nan"), *good[1:]]]}).encode(),
        "a grey level of 256": json.dumps({"features": [[256, *good[1:]]]}).encode(),
    }


@after("test_predictions")
@points(
    3,
    hints=[
        "Say what a request is, and let FastAPI refuse what is not: a Pydantic model instead of dict.",
        "Lengths and limits belong into the type: Field(min_length=784, max_length=784), ge=0, le=255.",
        "Pydantic turns '7' into 7 unless it is strict. An error that repeats NaN can't be written as JSON: "
        "answer with error.errors(include_input=False).",
    ],
)
@needs("server")
def test_rejects_bad_input(server, digits):
    """refuses bad input"""
    kinds = bad_requests(digits.images)
    statuses = {}
    for kind, body in kinds.items():
        statuses[kind] = server.request("POST", "/predict", body, {"content-type": "application/json"}).status
    wrong = [f"{kind}: {status}" for kind, status in statuses.items() if status != 422]
    refused = len(kinds) - len(wrong)
    if agreeing(server, digits.images[:1], digits.scores[:1]) != 1:
        raise WorkFault("After the bad requests a good one was not answered rightly.")
    credit(refused, len(kinds), f"{refused} of {len(kinds)} kinds answered 422", cause="; ".join(wrong[:4]))


@points(
    1,
    hints=[
        "A probe asks GET /health and GET /ready and looks at the status alone.",
        "/ready may say 200 only while the model is loaded: take the model away and see what yours says.",
    ],
)
@after("test_predictions")
@needs("server")
def test_health(server, copy_of_work, logs):
    """tells whether it lives, and whether it is ready"""
    for path in ("/health", "/ready"):
        status = server.get(path).status
        require(status == 200, f"GET {path} answered {status}", cause="It should be 200 while all is well.")
    progress("starting the server without its weights")
    bare = copy_of_work("without_weights")
    for weights in bare.glob("model.[sp]*t*"):
        weights.unlink()
    status, _ = started(bare, logs)
    require(
        status != 200,
        "without its weights it is not ready" if status != 200 else "without its weights it still says ready",
        cause="Kubernetes would send it requests that it can't answer.",
    )


@after("test_predictions")
@points(
    2,
    hints=[
        "What does torch.load do with a file that holds more than tensors?",
        "The same weights lie in model.safetensors, a format that can hold nothing else.",
    ],
)
@needs("server")
def test_safe_weights(copy_of_work, logs):
    """loads its weights without running what is in the file"""
    folder = copy_of_work("canary")
    pickles = {"model.pt", *(p.name for p in folder.iterdir() if p.suffix in PICKLED)}
    for name in pickles:
        (folder / name).write_bytes(pickle.dumps(Canary()))
    progress("starting the server with a model file that runs code")
    _, sang = started(folder, logs, leaves=CANARY)
    require(
        not sang,
        "a booby-trapped model file stayed unopened"
        if not sang
        else "a booby-trapped model file ran its code inside the server",
        cause="Whoever can write that file can do all that the server can.",
    )


@after("test_predictions")
@points(
    1,
    hints=[
        "prometheus_client has Counter, Histogram and generate_latest.",
        "Count in /predict, and answer GET /metrics with generate_latest() as text.",
    ],
)
@needs("server")
def test_metrics(server, digits):
    """counts its requests at /metrics"""
    before = counts(server)
    for row in range(10):
        server.post("/predict", {"features": digits.images[row : row + 1].tolist()})
    grown = {name: value - before.get(name, 0.0) for name, value in counts(server).items()}
    best = [name for name, more in grown.items() if more == 10]
    require(
        bool(best),
        f"{best[0]} grew by 10 with 10 requests" if best else "no counter grew by 10 with 10 requests",
    )


@after("test_predictions")
@points(
    3,
    hints=[
        "Measure one bulk request alone. Who else can be answered while the model works on it?",
        "The model and the reading of a large body both belong into a thread, out of the event loop.",
        "In a thread, a bulk request still holds the model for a third of a second. Cut it into slices of 16 "
        "or 32 images, and let single images in between.",
    ],
)
@needs("quiet machine")
def test_latency(server, bodies):
    """p99 of single images under 100 ms, beside bulk requests"""
    decision = measure_until_decided(
        lambda attempt: mixed_load(server.endpoint, bodies, seed=attempt), OBJECTIVE, kind="single"
    )
    last = decision.recordings[-1]
    require(decision.judgement, cause=why_missed(last, OBJECTIVE.milliseconds))
    bulk = last.only("bulk").measured()
    answered = bulk.requests - bulk.misses
    require(
        answered >= 0.8 * bulk.requests,
        f"{answered} of {bulk.requests} bulk requests answered",
        cause="Whoever sends a thousand images is owed an answer, too: this load leaves time for them.",
    )


@after("test_predictions")
@points(
    1,
    hints=[
        f"Nobody waits longer than {ANSWER_SECONDS:.0f} s: how many bulk requests can you answer until then?",
        "Count the requests that are inside. When a new one would be too many, answer 503 at once, before "
        "its body is parsed.",
    ],
)
@needs("quiet machine")
def test_overload(server, bodies, digits):
    """refuses with 503 what it can't answer in time"""
    for requests in FLOODS:
        flooded = flood(server.endpoint, bodies, requests)
        refused = flooded.statuses().get(503, 0)
        answered = flooded.outcomes().get(Outcome.OK, 0)
        seen = f"of {requests} bulk requests at once {answered} answered, {refused} refused with 503"
        lost = requests - answered - refused
        busy = excuse([flooded]) if flooded.lag_quantile_ms() < 1000 else "This machine was busy sending"
        if flooded.outcomes().get(Outcome.TIMEOUT, 0) and busy:
            require(Judgement(Verdict.INCONCLUSIVE, f"{busy}: {seen}"))
        require(not lost, f"{seen}, {lost} lost" if lost else seen, cause=how_lost(flooded))
        if refused:
            break
    else:
        require(Judgement(Verdict.INCONCLUSIVE, f"{seen}: this machine could not overload it"))
    require(answered > 0, "" if answered else f"{seen}: some it has time for")
    if agreeing(server, digits.images[:1], digits.scores[:1]) != 1:
        raise WorkFault("After the flood a single image was not answered rightly.")


# ---- what the checks use ----------------------------------------------------------------------------------

PICKLED = {".pt", ".pth", ".pkl", ".pickle", ".bin", ".joblib", ".npy"}


CANARY = "canary-sang"


class Canary:
    """Unpickling one makes a file in the server's folder."""

    def __reduce__(self):
        return (exec, (f"import os, pathlib; pathlib.Path(os.environ[{FOLDER!r}], {CANARY!r}).touch()",))


def how_lost(flooded):
    """What became of those that were neither answered nor refused."""
    kinds = {
        Outcome.TIMEOUT: f"not answered within {ANSWER_SECONDS:.0f} s: they all waited in one long queue",
        Outcome.WRONG_ANSWER: "answered wrongly",
        Outcome.REFUSED: "not even connected",
        Outcome.BROKEN: "cut off",
    }
    outcomes, statuses = flooded.outcomes(), flooded.statuses()
    said = [f"{outcomes[kind]} {words}" for kind, words in kinds.items() if kind in outcomes]
    expected = (0, 200, 503)
    said += [f"{count} answered {status}" for status, count in statuses.items() if status not in expected]
    return "; ".join(said)


def agreeing(server, images, scores):
    """How many of these images get the scores that they should."""
    answer = server.post("/predict", {"features": images.tolist()})
    if answer.status != 200:
        good = "a good image" if len(images) == 1 else f"{len(images)} good images"
        why = "So the server has no such route." if answer.status in (404, 405) else ""
        raise WorkFault(f"{answer.asked} answered {answer.status} to {good}.", why=why)
    value = answer.json()
    try:
        given = np.array(value["prediction"], dtype=np.float64)
    except (KeyError, TypeError, ValueError) as error:
        raise WorkFault(
            f'{answer.asked} answered without {{"prediction": [[ten scores], ...]}}: '
            f"{answer.body[:60].decode(errors='replace')}"
        ) from error
    if given.shape != scores.shape:
        raise WorkFault(
            f"{answer.asked} answered scores of shape {given.shape} to {len(images)} image(s).",
            why=f"{scores.shape} was expected: one row of ten scores for each image.",
        )
    return int((np.abs(given - scores) <= TOLERANCE).all(axis=1).sum())


def counts(server):
    """Every sample of /metrics that only grows."""
    answer = server.get("/metrics")
    if answer.status != 200:
        raise WorkFault(f"GET /metrics answered {answer.status}.")
    try:
        families = list(text_string_to_metric_families(answer.body.decode()))
    except ValueError as error:
        raise WorkFault("GET /metrics is not in Prometheus' text format.", why=str(error)) from error
    return {
        f"{sample.name}{sample.labels or ''}": sample.value
        for family in families
        for sample in family.samples
        if sample.name.endswith(("_total", "_count"))
    }


def started(folder, logs, leaves=""):
    """Start the server in that folder and ask it something.

    Returns:
        The status of GET /ready, None if it does not start; and whether it left a file of that name.
    """
    log = logs / f"01_fastapi_server-{folder.name}.log"
    with Served(folder, log=log) as served:
        try:
            served.start()
            status = served.get("/ready").status
            served.post("/predict", {"features": [[0] * 784]})  # some load the model only now
        except WorkFault:
            status = None
        return status, bool(leaves) and served.left(leaves) is not None
