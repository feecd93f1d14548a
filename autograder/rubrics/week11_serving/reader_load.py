"""What lab 11-05 asks of a learner's server: bodies of both formats, a seldom load and a busy one."""

import gzip
import json
import time
import zlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from autograder.rubric import progress
from autograder.served import Served
from labkit.errors import WorkFault
from labkit.load import HttpClient, Kind, Recording, Schedule, run
from labkit.processes import family

BINARY = "application/octet-stream"
JSON = "application/json"
TOLERANCE = 1e-3
ANSWER_SECONDS = 5.0
SELDOM_PER_SECOND = 45
SELDOM_IMAGES = 45
BUSY_SECONDS = 3
MIB = 1 << 20


@dataclass(frozen=True)
class Pages:
    """Held-out images `(1000, 784)` as bytes, and the scores `(1000, 10)` that each version gives them."""

    images: np.ndarray
    scores: dict[str, np.ndarray]

    def seldom(self, attempt: int) -> slice:
        """The images of a seldom load; those of the next attempt are others."""
        return slice(attempt * SELDOM_IMAGES, (attempt + 1) * SELDOM_IMAGES)

    @property
    def busy(self) -> slice:
        """Those of a busy load: none that a seldom load or another check has asked for."""
        return slice(300, 1000)


def as_json(images: np.ndarray, **more: object) -> bytes:
    """The JSON body of these images."""
    return json.dumps({"features": images.tolist(), **more}).encode()


def bomb(size: int) -> bytes:
    """That many zeros, packed: a thousandth of them."""
    packer = zlib.compressobj(level=1, wbits=31)
    zeros = bytes(MIB)
    return b"".join(packer.compress(zeros) for _ in range(size // MIB)) + packer.flush()


def scores_in(kind: str, body: bytes) -> np.ndarray:
    """The scores of an answer.

    Raises:
        ValueError: It holds none.
    """
    try:
        if kind != JSON:
            if len(body) % 40:
                raise ValueError(f"{len(body)} bytes, where an image has 40")
            return np.frombuffer(body, "<f4").reshape(-1, 10)
        return np.array(json.loads(body)["prediction"], dtype=np.float64)
    except (TypeError, KeyError) as error:
        raise ValueError(str(error)) from error


def close(given: np.ndarray, wanted: np.ndarray) -> int:
    """How many rows are the wanted ones."""
    if given.shape != wanted.shape:
        return 0
    return int((np.abs(given - wanted) <= TOLERANCE).all(axis=1).sum())


@dataclass(frozen=True)
class Exchange:
    """One request and its answer: the scores, and the bytes of both bodies."""

    scores: np.ndarray
    sent: int
    received: int


def ask(
    server: Served, images: np.ndarray, kind: str = BINARY, *, packed: bool = False, **more: object
) -> Exchange:
    """Send images; a WorkFault if no scores come."""
    body = as_json(images, **more) if kind == JSON else images.tobytes()
    headers = {"content-type": kind, "accept-encoding": "identity"}
    if packed:
        body, headers["content-encoding"] = gzip.compress(body), "gzip"
    answer = server.request("POST", "/predict", body, headers)
    what = f"{len(images)} image(s) as {kind}{', packed with gzip,' if packed else ''}"
    if answer.status != 200:
        raise WorkFault(f"{what} were answered {answer.status}.")
    try:
        return Exchange(scores_in(kind, answer.body), len(body), len(answer.body))
    except ValueError as error:
        raise WorkFault(f"{what} were answered with something else than scores: {error}.") from error


def together(work: Callable[[int], object], numbers: Iterable[int]) -> None:
    """Do that for all numbers at once; the first error is raised."""
    with ThreadPoolExecutor(32) as pool:
        list(pool.map(work, numbers))


def _single(images: np.ndarray, scores: np.ndarray, *, twice: bool) -> Kind:
    """Requests for one image each, every one of them asked twice in a row or once."""
    wanted = {image.tobytes(): row[None] for image, row in zip(images, scores, strict=True)}
    bodies = [body for body in wanted for _ in range(2 if twice else 1)]
    return Kind(
        name="single",
        method="POST",
        path="/predict",
        bodies=bodies,
        headers={"content-type": BINARY},
        check=lambda sent, answer: close(scores_in(BINARY, answer), wanted[sent]) == 1,
        timeout=ANSWER_SECONDS,
    )


def seldom_load(server: Served, pages: Pages, part: slice, *, twice: bool) -> Recording:
    """Single images, evenly spaced, so few that each is alone; each of them twice in a row, or once."""
    kind = _single(pages.images[part], pages.scores["1"][part], twice=twice)
    seconds = len(kind.bodies) / SELDOM_PER_SECOND
    progress("one request after the other", seconds)
    return _send(server, Schedule.constant(SELDOM_PER_SECOND, seconds=seconds, warmup=0), kind)


def busy_load(server: Served, pages: Pages, rate: float, attempt: int) -> Recording:
    """Different single images at that rate, coming when they like."""
    kind = _single(pages.images[pages.busy], pages.scores["1"][pages.busy], twice=False)
    progress(f"{rate:.0f} images/s", BUSY_SECONDS)
    schedule = Schedule.poisson(rate, seconds=BUSY_SECONDS * 2**attempt, warmup=0.5, seed=attempt)
    return _send(server, schedule, kind)


def _send(server: Served, schedule: Schedule, kind: Kind) -> Recording:
    endpoint = server.endpoint
    assert endpoint is not None
    client = HttpClient(endpoint.url, kinds=[kind])
    return run(schedule, client, network=endpoint.network, server=endpoint.pid)


def alone_ms(model: str, images: np.ndarray) -> float:
    """What the model takes for one image on one core of this machine, undisturbed, in milliseconds.

    The least of many: whatever else the machine does can only add to it.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    took = []
    for image in images:
        began = time.perf_counter()
        session.run(None, {"images": image[None].astype(np.float32)})
        took.append(time.perf_counter() - began)
    return min(took) * 1000


def most_memory(server: Served) -> int:
    """The most bytes that the server's processes held so far, each at its worst; or now, if none says."""
    assert server.endpoint is not None
    total = 0
    for process in family(server.endpoint.pid):
        try:
            status = Path(f"/proc/{process.pid}/status").read_text(errors="replace")
            peak = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
            total += int(peak[0]) * 1024 if peak else process.memory_info().rss
        except FileNotFoundError:
            if psutil.pid_exists(process.pid):
                total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total
