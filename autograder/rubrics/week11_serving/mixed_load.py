"""The load of week 11: single images all the time, and now and then somebody with a thousand.

With single images alone a server that blocks its event loop looks fine: each needs a millisecond. A bulk
request takes it a third of a second, and whoever comes meanwhile is late.
"""

import json
from dataclasses import dataclass, replace

import numpy as np

from autograder.rubric import progress
from labkit.load import Client, HttpClient, Kind, Outcome, Recording, Schedule, longest_stall, run
from labkit.serving import Endpoint

SINGLES_PER_SECOND = 100
BULKS_PER_SECOND = 0.5
SECONDS = 16
PROBES_PER_SECOND = 20
BULK_IMAGES = 1000
TOLERANCE = 1e-3
ANSWER_SECONDS = 5.0
ANY_STATUS = tuple(range(200, 600))


@dataclass(frozen=True)
class Bodies:
    """Request bodies, and the scores that each should get.

    Attributes:
        singles: One image each.
        bulk: `BULK_IMAGES` images.
        scores: By body, shape `(images, 10)`.
    """

    singles: list[bytes]
    bulk: bytes
    scores: dict[bytes, np.ndarray]

    def answered_rightly(self, sent: bytes, answer: bytes) -> bool:
        """Whether these are the scores of that body's images."""
        given = np.array(json.loads(answer)["prediction"], dtype=np.float64)
        wanted = self.scores[sent]
        return given.shape == wanted.shape and bool((np.abs(given - wanted) <= TOLERANCE).all())


def make_bodies(images: np.ndarray, scores: np.ndarray, singles: int = 200) -> Bodies:
    """Bodies of the first images, and one of the first thousand."""
    answers = {}
    for count in (*([row] for row in range(singles)), range(BULK_IMAGES)):
        rows = list(count)
        answers[json.dumps({"features": images[rows].tolist()}).encode()] = scores[rows]
    *alone, bulk = answers
    return Bodies(alone, bulk, answers)


def mixed_load(endpoint: Endpoint, bodies: Bodies, seed: int) -> Recording:
    """Send the mixed load over HTTP, with a probe of /health beside it."""
    # Whatever it answers: it shows when the server stands still.
    probe = Kind(name="health", path="/health", expected=ANY_STATUS)
    client = HttpClient(endpoint.url, kinds=mixed_kinds(_predict(bodies), bodies.singles, bodies.bulk, probe))
    return send_mixed(client, endpoint, seed)


def mixed_kinds(predict: Kind, singles: list[bytes], bulk: bytes, probe: Kind) -> list[Kind]:
    """The mixed load's request kinds.

    Args:
        predict: What single and bulk requests have in common.
        singles: Bodies of single images.
        bulk: The body of a bulk request.
        probe: A request that needs no model.
    """
    return [
        replace(predict, name="single", bodies=singles, share=1),
        replace(predict, name="bulk", bodies=[bulk], rate=BULKS_PER_SECOND),
        replace(probe, rate=PROBES_PER_SECOND),
    ]


def send_mixed(client: Client, endpoint: Endpoint, seed: int) -> Recording:
    """Send the kinds of that client for `SECONDS`, from the server's own network."""
    return run(
        Schedule.poisson(SINGLES_PER_SECOND, seconds=SECONDS, seed=seed),
        client,
        progress=lambda now: progress("the mixed load", max(0.0, now.of_seconds - now.seconds)),
        network=endpoint.network,
        server=endpoint.pid,
    )


def flood(endpoint: Endpoint, bodies: Bodies, requests: int) -> Recording:
    """Send that many bulk requests within half a second, and wait for every answer or its time-out."""
    bulk = replace(_predict(bodies), name="bulk", bodies=[bodies.bulk], share=1)
    progress(f"{requests} bulk requests within half a second", ANSWER_SECONDS)
    schedule = Schedule.constant(2 * requests, seconds=0.5, warmup=0)
    return run(
        schedule, HttpClient(endpoint.url, kinds=[bulk]), network=endpoint.network, server=endpoint.pid
    )


def _predict(bodies: Bodies) -> Kind:
    return Kind(
        name="predict",
        method="POST",
        path="/predict",
        bodies=[b"{}"],
        check=bodies.answered_rightly,
        timeout=ANSWER_SECONDS,
    )


def why_missed(
    recording: Recording, limit_ms: float, *, probe: str = "/health", refusal: tuple[int, str] = (503, "503")
) -> str:
    """What made most single images miss, as far as it can be seen from outside.

    Args:
        recording: Of the mixed load.
        limit_ms: What the objective allows.
        probe: What the kind "health" asks.
        refusal: The status of a refused request, as a number and as people call it.
    """
    singles = recording.only("single").measured()
    seen = singles.outcomes()
    late = int(np.count_nonzero(np.isfinite(singles.latency_ms) & (singles.latency_ms > limit_ms)))
    waited = late + seen.get(Outcome.TIMEOUT, 0)
    wrong = seen.get(Outcome.WRONG_ANSWER, 0)
    refused = singles.statuses().get(refusal[0], 0)
    stall = longest_stall(recording, "health")
    if wrong > max(waited, refused):
        return f"{wrong} answers were wrong, though the same images alone get the right ones."
    if refused > waited:
        return f"{refused} single images were refused with {refusal[1]}, though there was time for them."
    if stall.milliseconds > limit_ms:
        return (
            f"Not even {probe} was answered for {stall.milliseconds:.0f} ms, {stall.at_seconds:.1f} s after "
            "the start: the event loop was busy with something else."
        )
    return "The event loop was free: single images waited for the model, or for a thread."
