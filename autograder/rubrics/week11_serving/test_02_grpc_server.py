"""Lab week11/grpc_server: a gRPC model server that keeps its contract, its deadlines and its temper."""

import json
import threading
import time

import grpc
import numpy as np
import pytest

from autograder.rubric import after, credit, hidden, needs, points, progress, reading, require
from autograder.rubrics.week11_serving.handed_out import lay
from autograder.rubrics.week11_serving.mixed_load import mixed_kinds, send_mixed, why_missed
from autograder.rubrics.week11_serving.model_service import (
    ANSWER_SECONDS,
    HEALTH_CHECK,
    PREDICT,
    SERVICE,
    ModelService,
    counted,
    generate,
    said,
)
from labkit.course import find_course
from labkit.errors import WorkFault
from labkit.load import GrpcClient, Kind
from labkit.slo import Objective, measure_until_decided

what_grpc_bought = reading(
    "what_grpc_bought",
    points=3,
    criteria=[
        (1, "the bytes fell because a pixel is one byte instead of text: the type chosen, not gRPC as such"),
        (1, "says which part of the latency moved, and that the model's own time is the same in both"),
        (1, "names a case in which HTTP and JSON remain the better choice (browsers, curl, public clients)"),
    ],
)

OBJECTIVE = Objective(milliseconds=100, quantile=0.99, confidence=0.99)
TOLERANCE = 1e-3
ABANDONED = 24
ANY_CODE = tuple(range(17))
RESOURCE_EXHAUSTED = (grpc.StatusCode.RESOURCE_EXHAUSTED.value[0], "RESOURCE_EXHAUSTED")


@points(
    1,
    hints=[
        "A field on the wire: its key (number and type), the length if it has one, then the bytes.",
        "The key of field 1 takes one byte. A length takes a byte for each 7 bits of it.",
        "784 needs 10 bits, so two bytes; 784,000 needs 20 bits, so three.",
    ],
)
def test_wire_format(submitted):
    """knows what a message weighs before it is sent"""
    file = submitted / "answers.json"
    if not file.is_file():
        raise WorkFault("No answer is recorded yet.", next_step="Run the cell that records your numbers.")
    try:
        answers = json.loads(file.read_text())
        given = [answers["one_image"], answers["thousand_images"]]
    except (ValueError, KeyError, TypeError) as error:
        raise WorkFault(
            "answers.json is not what the notebook writes.", next_step="Run the cell that records it again."
        ) from error
    right = sum(a == b for a, b in zip(given, [787, 784_004], strict=True))
    credit(
        right, 2, f"{right} of 2 numbers", cause="Take a message apart with .SerializeToString()[:4].hex()."
    )


@needs("server")
@points(
    2,
    hints=[
        "np.frombuffer(request.images, dtype=np.uint8).reshape(-1, 784) are the images.",
        "predictions is one flat list: ten scores for the first image, ten for the second, and so on.",
    ],
)
def test_predictions(service, digits):
    """answers the reference predictions"""
    known = np.flatnonzero(digits.images.max(axis=1) == 255)[:200]
    requests = [known[i : i + 1] for i in range(50)] + [known[50:57], known[57:]]
    same = sum(agreeing(service, digits.images[rows], digits.scores[rows]) for rows in requests)
    credit(same, 200, f"{same} of 200 within {TOLERANCE}", cause="Compare with seed_server.py's answers.")


@needs("server")
@hidden
@after("test_predictions")
@points(1)
def test_unseen_images(service, digits):
    """gives the same answers for images that it was never shown here"""
    dim = np.flatnonzero(digits.images.max(axis=1) < 255)[:20]
    same = agreeing(service, digits.images[dim], digits.scores[dim])
    credit(same, len(dim), f"{same} of {len(dim)} within {TOLERANCE}")


@needs("server")
@after("test_predictions")
@points(
    2,
    hints=[
        "A method with a stream response is a generator: yield one response for each request.",
        "With grpc.aio: async for request in requests: yield ...",
        "Make a new response for each request. One that is reused keeps what was put into it before.",
    ],
)
def test_streaming(service, digits):
    """answers a stream request by request, in order"""
    sizes = [1, 3, 1, 20, 1]
    rows, start = [], 0
    for size in sizes:
        rows.append(slice(start, start + size))
        start += size
    answered = threading.Semaphore(1)

    def requests():
        for each in rows:
            # The next one is sent only when the one before has its answer.
            if not answered.acquire(timeout=ANSWER_SECONDS):
                return
            yield service.message(digits.images[each])

    right = seen = 0
    started = time.monotonic()
    try:
        for wire in service.predict_stream(requests(), seconds=3 * ANSWER_SECONDS):
            if time.monotonic() - started > ANSWER_SECONDS:
                break
            right += seen < len(rows) and close(service, wire, digits.scores[rows[seen]])
            seen += 1
            answered.release()
    except grpc.RpcError as error:
        raise WorkFault(f"PredictStream ended with {said(error)} after {seen} answers.") from error
    require(
        seen > 0,
        f"{seen} answers came while the stream was open"
        if seen
        else "no answer came before the stream ended",
        cause="A client that waits for an answer before it sends the next request would wait for ever.",
    )
    credit(right, len(rows), f"{right} of {len(rows)} requests answered in order, each before the next")


@needs("server")
@after("test_predictions")
@points(
    1,
    hints=[
        "An exception in a method becomes UNKNOWN, which tells the client nothing that it could mend.",
        "context.abort(grpc.StatusCode.INVALID_ARGUMENT, ...) ends the call and says whose fault it is.",
    ],
)
def test_rejects_bad_input(service, digits):
    """refuses what is no image with INVALID_ARGUMENT"""
    image = digits.images[0].astype(np.uint8).tobytes()
    kinds = {
        "nothing": b"",
        "one byte short": image[:-1],
        "one byte more": image + b"\0",
        "1,025 images": image * 1025,
    }
    codes = {kind: status_of(service, images) for kind, images in kinds.items()}
    wrong = [f"{kind}: {code}" for kind, code in codes.items() if code != "INVALID_ARGUMENT"]
    if agreeing(service, digits.images[:1], digits.scores[:1]) != 1:
        raise WorkFault("After the bad requests a good one was not answered rightly.")
    refused = len(kinds) - len(wrong)
    credit(refused, len(kinds), f"{refused} of {len(kinds)} kinds refused", cause="; ".join(wrong))


@needs("quiet machine")
@after("test_predictions")
@points(
    2,
    hints=[
        "When its deadline has passed, nobody waits for the answer any more. Who tells your model?",
        "grpc.aio cancels the handler; a thread or a queue that it handed the work to goes on regardless.",
        "Work in slices, and before each slice see whether somebody still waits (context.is_active() in the "
        "synchronous API, the cancelled future in the asynchronous one).",
    ],
)
def test_deadlines(service, digits):
    """stops working when nobody waits any more"""
    bulk = service.message(digits.images)
    progress("one bulk call after the other")
    alone = min(seconds_for(service, bulk) for _ in range(3))
    progress(f"{ABANDONED} bulk calls that are given up at once")
    calls = [service.start_predict(bulk, seconds=max(0.01, alone / 4)) for _ in range(ABANDONED)]
    for call in calls:
        call.exception()
    afterwards = seconds_for(service, bulk)
    seen = (
        f"a bulk call takes {1000 * alone:.0f} ms alone and {1000 * afterwards:.0f} ms after "
        f"{ABANDONED} that were given up"
    )
    require(
        afterwards < 8 * alone,
        seen,
        cause="It waited for work whose clients had long gone.",
    )


@needs("server")
@after("test_predictions")
@points(
    1,
    hints=[
        "grpc_health.v1.health has the servicer; in grpc.aio it is health.aio.HealthServicer.",
        f'Set SERVING for the server as a whole, "", and for {SERVICE}.',
        "Without its weights the server must not say SERVING; it may just as well not start.",
    ],
)
def test_health(service, copy_of_work, logs):
    """tells Kubernetes and load balancers how it is, the standard way"""
    for name in ("", SERVICE):
        status = service.health(name)
        require(status == "SERVING", f"health of {name or 'the server'}: {status}")
    progress("starting the server without its weights")
    bare = copy_of_work("without_weights")
    for weights in ("model.safetensors", "model.pt"):
        (bare / weights).unlink(missing_ok=True)
    with ModelService(bare, log=logs / "02_grpc_server-without_weights.log") as served:
        try:
            served.start()
            status = served.health("")
        except WorkFault:
            status = "no answer"
    require(status != "SERVING", f"without its weights: {status}", cause="It would be sent requests.")


@needs("server")
@after("test_predictions")
@points(
    1,
    hints=[
        "grpc_reflection.v1alpha.reflection has enable_server_reflection(names, server).",
        f"The names are the full ones: {SERVICE}, and reflection.SERVICE_NAME.",
    ],
)
def test_reflection(service):
    """tells tools what it offers"""
    listed = service.services()
    require(SERVICE in listed, f"reflection lists {', '.join(listed) or 'nothing'}")


@needs("server")
@after("test_predictions")
@points(
    1,
    hints=[
        "prometheus_client.start_http_server(int(os.environ['METRICS_PORT']), addr='127.0.0.1') serves them.",
        "An interceptor sees every call of every method, also those that your method never saw the end of.",
        "Count with a label for the status code: five good calls and three bad ones are two counters.",
    ],
)
def test_metrics(service, digits):
    """counts its calls by status code"""
    before = counted(service.metrics())
    for _ in range(5):
        agreeing(service, digits.images[:1], digits.scores[:1])
    for _ in range(3):
        status_of(service, b"short")
    after_calls = counted(service.metrics())
    grown = {name: value - before.get(name, 0.0) for name, value in after_calls.items()}
    found = {
        code: any(more == times and code in name for name, more in grown.items())
        for code, times in (("OK", 5), ("INVALID_ARGUMENT", 3))
    }
    missing = [code for code, there in found.items() if not there]
    credit(
        len(found) - len(missing),
        len(found),
        "5 calls with OK and 3 with INVALID_ARGUMENT were counted"
        if not missing
        else f"no counter grew as it should for {' and '.join(missing)}",
        cause="A label of the counter holds the code's name.",
    )


@needs("quiet machine")
@after("test_predictions")
@points(
    2,
    hints=[
        "Measure one bulk call alone. Who else is answered while the model works on it?",
        "More threads do not help here: one bulk call keeps all cores busy.",
        "One thread for the model, slices of 16 or 32 images, and single images go first.",
    ],
)
def test_latency(service, digits):
    """p99 of single images under 100 ms, beside bulk calls"""
    singles = [service.message(digits.images[[row]]) for row in range(200)]
    bulk = service.message(digits.images)
    scores = {wire: digits.scores[[row]] for row, wire in enumerate(singles)} | {bulk: digits.scores}
    predict = Kind(
        name="predict",
        path=PREDICT,
        bodies=[b""],
        check=lambda sent, wire: close(service, wire, scores[sent]),
        timeout=ANSWER_SECONDS,
    )
    probe = Kind(name="health", path=HEALTH_CHECK, expected=ANY_CODE)
    url = service.endpoint.url.replace("http://", "grpc://")
    client = GrpcClient(url, kinds=mixed_kinds(predict, singles, bulk, probe))
    decision = measure_until_decided(
        lambda attempt: send_mixed(client, service.endpoint, seed=attempt), OBJECTIVE, kind="single"
    )
    last = decision.recordings[-1]
    why = why_missed(last, OBJECTIVE.milliseconds, probe="a health check", refusal=RESOURCE_EXHAUSTED)
    require(decision.judgement, cause=why)
    large = last.only("bulk").measured()
    answered = large.requests - large.misses
    require(
        answered >= 0.8 * large.requests,
        f"{answered} of {large.requests} bulk calls answered",
        cause="Whoever sends a thousand images is owed an answer, too: this load leaves time for them.",
    )


# ---- what the checks use ----------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def work(submitted, scratch):
    """A copy of the learner's files with the model, the contract, and code generated from it."""
    return with_contract(lay(submitted, scratch / "work"))


@pytest.fixture(scope="session")
def copy_of_work(submitted, scratch):
    """Makes another such copy, under a name, to tamper with."""
    return lambda name: with_contract(lay(submitted, scratch / name))


@pytest.fixture(scope="session")
def service(work, logs):
    """The learner's `serve.py`, started once for all checks."""
    with ModelService(work, log=logs / "02_grpc_server.log") as served:
        served.start()
        yield served


def with_contract(folder):
    """The handed-out contract and fresh code of it, whatever the learner did to theirs."""
    handout = find_course().lab("week11/grpc_server").handout
    (folder / "model.proto").write_bytes((handout / "model.proto").read_bytes())
    generate(folder / "model.proto", folder)
    return folder


def close(service, wire, scores):
    """Whether a serialised response holds these scores."""
    given = service.scores(wire)
    return given.shape == scores.shape and bool((np.abs(given - scores) <= TOLERANCE).all())


def agreeing(service, images, scores):
    """How many of these images get the scores that they should."""
    try:
        wire = service.predict(service.message(images))
    except grpc.RpcError as error:
        raise WorkFault(f"Predict ended with {said(error)} for {len(images)} good image(s).") from error
    try:
        given = service.scores(wire)
    except ValueError as error:
        raise WorkFault("Predict's answer does not hold ten scores for each image.") from error
    if given.shape != scores.shape:
        raise WorkFault(f"Predict answered scores of {len(given)} images to a request of {len(scores)}.")
    return int((np.abs(given - scores) <= TOLERANCE).all(axis=1).sum())


def status_of(service, images):
    """The status code of Predict with these bytes as images."""
    try:
        service.predict(service.request(images=images).SerializeToString())
    except grpc.RpcError as error:
        return error.code().name
    return "OK"


def seconds_for(service, wire):
    """How long a call takes until it is answered, tried again while it is refused."""
    started = time.monotonic()
    while time.monotonic() - started < 60:
        try:
            service.predict(wire, seconds=30)
            return time.monotonic() - started
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                raise WorkFault(f"A bulk call ended with {said(error)}.") from error
            time.sleep(0.02)
    raise WorkFault("A bulk call was refused for a minute.")
