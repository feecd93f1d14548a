"""What stands between the pacer and a protocol: the ledger of one run, and the transport's few methods."""

from __future__ import annotations

import hashlib
import time
from array import array
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from labkit.load.outcomes import Outcome

MOST_ANSWER_BYTES = 256 * 1024 * 1024
NO_ANSWER_KEPT = -1
ANSWER_LEFT_OUT = -2


class Ledger:
    """What is known of each request while a run goes on. Times are nanoseconds from its start.

    Python's own arrays: setting one element of them takes a third of the time that NumPy's take.

    Args:
        due: When each request is due; shape `(requests,)`.
        kind: The number of each request's kind; shape `(requests,)`.
        request: The number of each request's body within its kind; shape `(requests,)`.
        keep_answers: By kind, whether response bodies are kept for a check.
    """

    def __init__(
        self,
        due: NDArray[np.int64],
        kind: NDArray[np.int16],
        request: NDArray[np.int32],
        keep_answers: Sequence[bool],
    ) -> None:
        count = len(due)
        self.due: list[int] = due.tolist()
        self.kind: list[int] = kind.tolist()
        self.request: list[int] = request.tolist()
        self.dispatched = array("q", [-1]) * count
        self.sent = array("q", [-1]) * count
        self.done = array("q", [-1]) * count
        self.outcome = array("b", [Outcome.UNFINISHED]) * count
        self.status = array("h", [0]) * count
        self.retry_after = array("f", [float("nan")]) * count
        self.sent_bytes = array("i", [0]) * count
        self.received_bytes = array("i", [0]) * count
        self.answer = array("i", [NO_ANSWER_KEPT]) * count
        self.answers: list[bytes] = []
        self.finished = 0
        self.misses = 0
        self._keep_answers = list(keep_answers)
        self._known: dict[bytes, int] = {}
        self._kept_bytes = 0
        self._start = time.perf_counter_ns()

    def start(self) -> None:
        """Let time begin."""
        self._start = time.perf_counter_ns()

    def now(self) -> int:
        """Nanoseconds from the start."""
        return time.perf_counter_ns() - self._start

    def finish(self, index: int, outcome: Outcome, status: int = 0, body: bytes | None = None) -> None:
        """Note how a request ended; a second ending of the same request is ignored."""
        if self.outcome[index] != Outcome.UNFINISHED:
            return
        self.done[index] = time.perf_counter_ns() - self._start
        self.outcome[index] = outcome
        self.status[index] = status
        self.finished += 1
        if outcome != Outcome.OK:
            self.misses += 1
        elif body is not None and self._keep_answers[self.kind[index]]:
            self.answer[index] = self._keep(body)

    def keeps_answer(self, index: int) -> bool:
        """Whether the response body of this request is wanted."""
        return self._keep_answers[self.kind[index]]

    def spoil(self, index: int) -> None:
        """Take back a right answer: more came on its connection than the answer said."""
        if self.outcome[index] == Outcome.OK:
            self.outcome[index] = Outcome.BROKEN
            self.misses += 1

    def _keep(self, body: bytes) -> int:
        """The number of this answer among the distinct ones."""
        key = hashlib.blake2b(body, digest_size=16).digest()
        number = self._known.get(key)
        if number is None:
            if self._kept_bytes + len(body) > MOST_ANSWER_BYTES:
                return ANSWER_LEFT_OUT
            number = self._known[key] = len(self.answers)
            self.answers.append(body)
            self._kept_bytes += len(body)
        return number


class Transport(Protocol):
    """Sends single requests without ever waiting; answers go to the ledger as they come."""

    async def open(self) -> None:
        """Make ready to send."""

    def send(self, index: int) -> None:
        """Send request number `index` of the ledger now, or as soon as a connection is free."""

    def sweep(self, now: int) -> None:
        """Give up on what is over its time-out."""

    async def close(self) -> None:
        """Close every connection."""
