"""The load that frameworks are compared under: single rows all the time, and now and then a batch of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labkit.load import Client, Progress, Recording, Schedule, run
from labkit.serving.base import Endpoint
from labkit.serving.deployment import Signature
from labkit.serving.protocols import Dialect

SINGLE, BATCH = "single", "batch"


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What is asked and what is right.

    Attributes:
        rows: What single requests hold, shape `(n, width)`.
        answers: What they should get, shape `(n, outputs)`.
        batch_rows: Rows of a batch request.
        batches_per_second: How often one is sent, beside the single requests.
        tolerance: How far an answer's numbers may be from what is right.
        timeout: Seconds after which a request is a miss.
    """

    rows: NDArray[np.float32] | NDArray[np.int64]
    answers: NDArray[np.float32]
    batch_rows: int = 32
    batches_per_second: float = 2.0
    tolerance: float = 1e-3
    timeout: float = 5.0

    def client(self, endpoint: Endpoint, dialect: Dialect, signature: Signature) -> Client:
        """A load's client that sends it to a server."""
        right: dict[bytes, NDArray[np.float32]] = {}
        singles = []
        for number in range(len(self.rows)):
            body = dialect.encode(self.rows[number : number + 1], signature)
            right[body] = self.answers[number : number + 1]
            singles.append(body)
        chosen = np.arange(self.batch_rows) % len(self.rows)
        batch = dialect.encode(self.rows[chosen], signature)
        right[batch] = self.answers[chosen]

        def is_right(sent: bytes, answer: bytes) -> bool:
            given, wanted = dialect.decode(answer), right[sent]
            return given.shape == wanted.shape and bool((np.abs(given - wanted) <= self.tolerance).all())

        kinds = [dialect.kind(SINGLE, share=1, bodies=singles, check=is_right, timeout=self.timeout)]
        if self.batches_per_second:
            batches = dialect.kind(
                BATCH,
                rate=self.batches_per_second,
                bodies=[batch],
                check=is_right,
                timeout=self.timeout,
            )
            kinds.append(batches)
        return dialect.client(endpoint.url, kinds)

    def send(
        self,
        endpoint: Endpoint,
        dialect: Dialect,
        *,
        rate: float,
        seconds: float,
        signature: Signature | None = None,
        warmup: float = 1.0,
        seed: int = 0,
        progress: Callable[[Progress], None] | None = None,
    ) -> Recording:
        """Send it, with `rate` single requests a second, arriving independently of each other."""
        return run(
            Schedule.poisson(rate, seconds=seconds, warmup=warmup, seed=seed),
            self.client(endpoint, dialect, signature or Signature()),
            progress=progress,
            network=endpoint.network,
            server=endpoint.pid,
        )


def within(recording: Recording, milliseconds: float, quantile: float = 0.99) -> bool:
    """Whether so many of the single requests were answered rightly in time, as measured (no bound)."""
    return bool(recording.only(SINGLE).quantile_ms(quantile) <= milliseconds)
