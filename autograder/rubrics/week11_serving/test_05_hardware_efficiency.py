"""Lab week11/hardware_efficiency: a server that batches, remembers and packs; a GPU that is kept busy."""

import hashlib
import json
import shutil

import numpy as np
import pytest

from autograder.fixtures import copy_work
from autograder.rubric import after, credit, needs, not_measured, points, progress, reading, require
from autograder.rubrics.week11_serving.reader_findings import (
    ALONE,
    BUSY,
    Seldom,
    count_quicker,
    decide,
    why_missed,
)
from autograder.rubrics.week11_serving.reader_load import (
    BINARY,
    JSON,
    MIB,
    TOLERANCE,
    Pages,
    alone_ms,
    as_json,
    ask,
    bomb,
    busy_load,
    close,
    most_memory,
    seldom_load,
    together,
)
from autograder.rubrics.week11_serving.reader_stale import (
    after_a_switch,
    other_images,
    switch,
    switched_meanwhile,
)
from labkit.errors import Unavailable, WorkFault
from labkit.models import models_folder
from labkit.slo import GpuSamples, NvmlGpus, judge_gpu, measure_until_decided

where_the_gain_ends = reading(
    "where_the_gain_ends",
    points=3,
    criteria=[
        (1, "a run for one image fetches all weights as a run for many does: time per image falls until "
            "arithmetic, not memory, is what takes the time"),
        (1, "beyond that a larger batch gives no more throughput, and everybody in it waits longer"),
        (1, "says what other hardware or load would change: a GPU's knee lies at far larger batches; at a "
            "low rate there is nobody to batch with"),
    ],
)  # fmt: skip

MODELS = ("model-1.onnx", "model-2.onnx")
TIMES_FASTER = 1.4
FASTEST_RATE = 1200
"""Beyond this a Python server's own work would be what is judged."""
MOST_MEMORY = 400 * MIB
MOST_GROWN = 64 * MIB
MOST_CACHED = 500
SWEEPS = {"batch_1": 8, "batch_2": 16, "batch_3": 0, "batch_4": 16}


# ---- what is judged ---------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def work(submitted, scratch):
    """A copy of the learner's files with the models as they were handed out."""
    folder = copy_work(submitted, scratch / "work")
    for name in MODELS:
        shutil.copyfile(models_folder() / "reader" / name, folder / name)
    return folder


@pytest.fixture(scope="session")
def pages():
    with np.load(models_folder() / "reader" / "reference.npz", allow_pickle=False) as reference:
        return Pages(reference["images"], {"1": reference["scores_1"], "2": reference["scores_2"]})


@pytest.fixture(scope="session")
def seldom(server, pages):
    return Seldom(
        measure_until_decided(
            lambda attempt: seldom_load(server, pages, pages.seldom(attempt), twice=True), ALONE
        )
    )


@pytest.fixture(scope="session")
def busy(server, pages):
    progress("measuring this machine: the model, one image at a time")
    alone = alone_ms(str(models_folder() / "reader" / MODELS[0]), pages.images[:60])
    rate = min(FASTEST_RATE, round(TIMES_FASTER * 1000 / alone, -1))
    return rate, measure_until_decided(lambda attempt: busy_load(server, pages, rate, attempt), BUSY)


# ---- the checks -------------------------------------------------------------------------------------------


@points(
    1,
    hints=[
        "Two conditions: the batch keeps up with the rate, and nobody waits too long.",
        "A batch of b images that takes t ms keeps up with 1000 * b / t images a second.",
        "Who comes just after a run has begun waits for that one and for their own: 2 * t. Of the batches "
        "for which both hold, the smallest; 0 if there is none.",
    ],
)
def test_batch_size(submitted):
    """chooses the batch from a sweep, a rate and an objective"""
    file = submitted / "answers.json"
    if not file.is_file():
        raise WorkFault(
            "No answer is recorded yet.", next_step="Run the cell that records your function's values."
        )
    try:
        answers = json.loads(file.read_text())
        right = sum(answers[name] == batch for name, batch in SWEEPS.items())
    except (ValueError, KeyError, TypeError) as error:
        raise WorkFault(
            "answers.json is not what the notebook writes.", next_step="Run the cell that records it again."
        ) from error
    cause = "Look at a sweep in which the batch that keeps up makes people wait too long."
    credit(right, len(SWEEPS), f"{right} of {len(SWEEPS)} sweeps", cause=cause)


@points(
    1,
    hints=[
        "plain_server.py answers this one: start from it.",
        "The model takes float32, shape (images, 784), and answers a row of ten scores for each.",
    ],
)
@needs("server")
def test_predictions(server, pages):
    """answers the reference scores, one image or many, asked at once by several"""
    wanted = pages.scores["1"]
    parts = [slice(250 + number, 251 + number) for number in range(8)] + [slice(258, 300)]
    right = [0] * len(parts)

    def check(number):
        right[number] = close(ask(server, pages.images[parts[number]], JSON).scores, wanted[parts[number]])

    together(check, range(len(parts)))
    credit(sum(right), 50, f"{sum(right)} of 50 within {TOLERANCE}", cause="Compare with plain_server.py's.")


@after("test_predictions")
@points(
    2,
    hints=[
        "A grey level fits into one byte; in JSON it takes up to five. np.frombuffer reads such a body.",
        "The answer's scores are float32 inside the model: scores.astype('<f4').tobytes().",
        "A packed body: zlib.decompressobj(wbits=31), and look at Content-Encoding before you parse.",
    ],
)
@needs("server")
def test_payload(server, pages):
    """halves the bytes with the same answers"""
    part = slice(200, 250)
    images, wanted = pages.images[part], pages.scores["1"][part]
    plain, dense = ask(server, images, JSON), ask(server, images, BINARY)
    share = (dense.sent + dense.received) / (plain.sent + plain.received)
    said = f"{(dense.sent + dense.received) / 50:,.0f} bytes an image, {share:.0%} of JSON's"
    same = close(dense.scores, wanted)
    require(share <= 0.5, said, cause="The answer has to be dense as well: ten float32 an image.")
    require(same == 50, f"{same} of 50 answers are those of JSON, within {TOLERANCE}",
            cause="Fewer bytes must not cost digits.")  # fmt: skip
    packed = [close(ask(server, images, kind, packed=True).scores, wanted) == 50 for kind in (JSON, BINARY)]
    credit(2 + sum(packed), 4, f"{sum(packed)} of 2 formats packed with gzip understood")


@after("test_payload")
@points(
    1,
    hints=[
        "Every body that holds no images gets a status from 400 to 499.",
        "A packed body may be a thousand times larger inside. Unpack only as much as you allow: "
        "decompress(body, most) and look at what is left over.",
    ],
)
@needs("server")
def test_refuses(server, pages):
    """refuses what holds no images, however small it is packed"""
    good = pages.images[299]
    levels = good.tolist()
    bodies = {
        "not JSON": (JSON, b"digits, please", ""),
        "one grey level short": (JSON, as_json(good[None, :-1]), ""),
        "a grey level of 256": (JSON, json.dumps({"features": [[256, *levels[1:]]]}).encode(), ""),
        "NaN": (JSON, json.dumps({"features": [[float("nan"), *levels[1:]]]}).encode(), ""),
        "no bytes": (BINARY, b"", ""),
        "one byte short": (BINARY, good.tobytes()[:-1], ""),
        "1,025 images": (BINARY, good.tobytes() * 1025, ""),
        "text": ("text/plain", b"a seven", ""),
        "gzip that is none": (BINARY, good.tobytes(), "gzip"),
        "an unknown packing": (BINARY, good.tobytes(), "snappy"),
        "128 MiB of zeros, packed": (BINARY, bomb(128 * MIB), "gzip"),
    }
    before = most_memory(server)
    statuses = {}
    for what, (kind, body, packing) in bodies.items():
        headers = {"content-type": kind} | ({"content-encoding": packing} if packing else {})
        statuses[what] = server.request("POST", "/predict", body, headers).status
    wrong = [f"{what}: {status}" for what, status in statuses.items() if not 400 <= status < 500]
    grown = (most_memory(server) - before) // MIB
    refused = len(bodies) - len(wrong)
    answered = close(ask(server, good[None]).scores, pages.scores["1"][299:300])
    require(answered == 1, "a good image is still answered" if answered else "a good image no longer is")
    bounded = grown <= MOST_GROWN // MIB
    said = f"the server grew by {grown} MiB meanwhile"
    require(bounded, "" if bounded else said, cause="A body of half a MiB held 128: all was unpacked.")
    credit(refused, len(bodies), f"{refused} of {len(bodies)} kinds refused", cause="; ".join(wrong[:4]))


@after("test_payload")
@points(
    1,
    hints=[
        "How long does a request wait when no other one comes?",
        "If you wait for company, then for a few milliseconds at most. Better: run at once, and let the "
        "next batch be what came meanwhile.",
    ],
)
@needs("quiet machine")
def test_deadline(seldom):
    """lets nobody wait for company: nine of ten within 50 ms when they are alone"""
    require(seldom.decision.judgement, cause=why_missed(seldom.last))


@after("test_deadline")
@points(
    1,
    hints=[
        "What would you look an answer up by, so that the same image finds it?",
        "A dictionary of the image's bytes (or their hash) and of the model's version to the ten scores.",
    ],
)
@needs("quiet machine")
def test_cache(seldom):
    """remembers: an image that was just asked is answered without the model"""
    quicker, of = count_quicker(seldom.again_ms, seldom.first_ms)
    said = (
        f"{quicker} of {of} images were answered quicker the second time: "
        f"{np.median(seldom.first_ms):.1f} ms, then {np.median(seldom.again_ms):.1f} ms"
    )
    decide(quicker / of, said, seldom.last, cause="The model seems to run for each of them again.")


@after("test_deadline")
@points(
    2,
    hints=[
        "Sweep the batch size in the notebook: how many images a second can one at a time give?",
        "One task owns the model. It takes all that waits, up to a limit, runs it, and hands each its row.",
        "With asyncio: a deque of (image, future), an Event, and run_in_executor for the run.",
    ],
)
@needs("quiet machine")
def test_throughput(busy):
    """keeps p99 under 100 ms at 1.4 times the rate that one image at a time allows"""
    rate, decision = busy
    require(True, f"{rate:.0f} images/s")
    require(decision.judgement, cause=why_missed(decision.recordings[-1]))


@after("test_cache")
@points(
    1,
    hints=[
        f"The notebook says how many answers may be kept: {MOST_CACHED}. Then the oldest has to go.",
        "collections.OrderedDict: move_to_end when it is used, popitem(last=False) when there are too many.",
    ],
)
@needs("quiet machine")
def test_bounded(server, pages, seldom, busy):
    """forgets: after hundreds of other images, the first ones are computed again"""
    part = pages.seldom(len(seldom.decision.recordings) - 1)
    later = seldom_load(server, pages, part, twice=False)
    kept, of = count_quicker(later.latency_ms, seldom.first_ms)
    others = pages.busy.stop - pages.busy.start
    said = f"after {others} others, {of - kept} of {of} images were computed again"
    decide(1 - kept / of, said, later, cause=f"At most {MOST_CACHED} answers may be kept.")


@after("test_payload")
@points(
    1,
    hints=[
        "What makes an answer another one? The image, and the model: nothing else, and nothing less.",
        "A client's id says who asks, not what. Make the key of the content and of the version.",
        "The version is the one that computes, known when the image is queued, not when the answer is kept.",
    ],
)
@needs("server")
def test_never_stale(server, pages):
    """never answers from an older image or an older model"""
    try:
        stale = [
            *other_images(server, pages),
            *after_a_switch(server, pages),
            *switched_meanwhile(server, pages),
        ]
    finally:
        switch(server, "1")
    said = "other images, look-alikes, a switch, one under load, a version that is not there: all fresh"
    require(not stale, "; ".join(stale) or said, cause="What, exactly, does a kept answer depend on?")


@after("test_payload")
@points(
    1,
    hints=[
        "The notebook measures what a session costs. How many do you hold?",
        "One session may run in one thread or be shared by many. One a thread holds the weights again.",
    ],
)
@needs("server")
def test_memory(server, pages):
    """serves from 400 MiB"""
    images = pages.images[:64]
    together(lambda number: ask(server, np.roll(images, number, axis=1)), range(16))
    most = most_memory(server)
    kept = most <= MOST_MEMORY
    said = f"{most // MIB} MiB at most, of {MOST_MEMORY // MIB}"
    require(kept, said, cause="The model's file has 9 MiB, Python and its libraries need some 150.")


@points(
    1,
    hints=[
        "nvidia-smi in a second terminal shows the utilisation while train.py runs.",
        "What does the GPU wait for? Images made one by one in Python, copies to the device, and .item().",
        "Put all images on the device once, choose and move them there, take batches of a thousand or more.",
    ],
)
def test_gpu(submitted):
    """keeps a GPU more than 80 % busy while it trains"""
    evidence, script = submitted / "gpu.json", submitted / "train.py"
    if not evidence.is_file():
        not_measured(why_no_gpu())
    samples = GpuSamples.load(evidence)
    measured = samples.files.get("train.py", "")
    now = hashlib.sha256(script.read_bytes()).hexdigest() if script.is_file() else "missing"
    if measured != now:
        raise WorkFault(
            "gpu.json was measured with another train.py than the one beside it.",
            next_step="Measure again after your last change.",
        )
    require(judge_gpu(samples), cause="The GPU waited: for data, for copies or for Python.")
    require(True, f"by the samples handed in, {samples.started_at}")


# ---- what the checks use ----------------------------------------------------------------------------------


def why_no_gpu():
    """Why there are no samples."""
    measure = "measure train.py on a machine with a GPU (`workbook measure gpu`) and hand in gpu.json."
    try:
        with NvmlGpus() as gpus:
            return f"There is a GPU here ({gpus.names[0]}) and no gpu.json: {measure}"
    except Unavailable as lacking:
        return f"{lacking.what} To have this measured, {measure}"
