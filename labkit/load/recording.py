"""What a load measured: raw nanoseconds of every request, and the few views of them that judging needs."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labkit.load.outcomes import Outcome

FORMAT = 1
ROWS = (
    "kind",
    "intended_ns",
    "dispatched_ns",
    "sent_ns",
    "done_ns",
    "outcome",
    "status",
    "retry_after",
    "sent_bytes",
    "received_bytes",
    "request",
    "answer",
)
PLAIN = ("kinds", "url", "rate", "seconds", "warmup", "started_at", "interrupted", "gave_up", "bystanders")


class Stall(NamedTuple):
    """The longest time for which a server did not answer a probe.

    Attributes:
        milliseconds: From the intended send time of the probe until its answer, or until it was given up.
        at_seconds: When that probe was due, from the start of the measured part.
        answered: Whether the probe was answered in the end.
    """

    milliseconds: float
    at_seconds: float
    answered: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class Recording:
    """Every request of one load, in the order in which they were due.

    Times are nanoseconds from the start of the run, warm-up included; -1 is never. The arrays have shape
    `(requests,)`.

    Attributes:
        kinds: Names of the request kinds.
        url: The server.
        rate: Scheduled requests per second, probes not counted (a ramp's mean).
        seconds: Length of the measured part.
        warmup: Seconds before it, which no view below counts.
        started_at: When the run began, ISO 8601, UTC.
        interrupted: Whether the run was ended early by hand.
        gave_up: Whether the generator fell so far behind that it stopped by itself.
        kind: The number of each request's kind, an index of `kinds`.
        intended_ns: When it was due.
        dispatched_ns: When the generator got to it; later than due is the generator's own lag.
        sent_ns: When it was on the wire, after any wait for a connection.
        done_ns: When its whole answer was there, or when it was given up.
        outcome: What became of it, a number of `Outcome`.
        status: HTTP status or gRPC code; 0 without an answer.
        retry_after: Seconds of a `Retry-After` header; not a number without one.
        sent_bytes: Bytes of the request (HTTP: head and body; gRPC: message).
        received_bytes: Bytes of the answer, likewise.
        request: The number of the body within its kind.
        answer: An index of `answers`; -1 if it was not kept, -2 if there was no more room for it.
        answers: The distinct response bodies of the kinds that have a check.
        pauses_ns: When the generator's process did not run; shape `(pauses, 2)`, start and end.
        bystanders: The part of the machine, 0 to 1, that other programs than server and generator took; not
            a number where the server is elsewhere.
    """

    kinds: tuple[str, ...]
    url: str
    rate: float
    seconds: float
    warmup: float
    started_at: str
    interrupted: bool
    gave_up: bool
    kind: NDArray[np.int16]
    intended_ns: NDArray[np.int64]
    dispatched_ns: NDArray[np.int64]
    sent_ns: NDArray[np.int64]
    done_ns: NDArray[np.int64]
    outcome: NDArray[np.int8]
    status: NDArray[np.int16]
    retry_after: NDArray[np.float32]
    sent_bytes: NDArray[np.int32]
    received_bytes: NDArray[np.int32]
    request: NDArray[np.int32]
    answer: NDArray[np.int32]
    answers: tuple[bytes, ...]
    pauses_ns: NDArray[np.int64]
    bystanders: float = float("nan")

    def __len__(self) -> int:
        """Requests in the recording, warm-up included."""
        return len(self.intended_ns)

    def __repr__(self) -> str:
        """One line, not a million numbers."""
        return f"<Recording of {self.url}: {self.requests} requests in {self.measured_seconds:.1f} s>"

    def only(self, *kinds: str) -> Recording:
        """The recording of these kinds alone.

        Raises:
            KeyError: If a kind is not one of `kinds`.
        """
        unknown = [kind for kind in kinds if kind not in self.kinds]
        if unknown:
            raise KeyError(f"No request kind {unknown[0]!r}; there are {', '.join(self.kinds)}.")
        return self._rows(np.isin(self.kind, [self.kinds.index(kind) for kind in kinds]))

    def measured(self) -> Recording:
        """The recording without its warm-up and without requests that an interruption cut off."""
        return self._rows(self._counted)

    def _rows(self, chosen: NDArray[np.bool_]) -> Recording:
        return replace(self, **{name: getattr(self, name)[chosen] for name in ROWS})

    @property
    def _counted(self) -> NDArray[np.bool_]:
        counted: NDArray[np.bool_] = self.outcome != Outcome.UNFINISHED
        counted &= self.intended_ns >= self.warmup * 1e9
        return counted

    @property
    def requests(self) -> int:
        """Measured requests."""
        return int(np.count_nonzero(self._counted))

    @property
    def misses(self) -> int:
        """Measured requests without a right and whole answer in time: errors, wrong statuses, time-outs."""
        return int(np.count_nonzero(self.outcome[self._counted] != Outcome.OK))

    @property
    def measured_seconds(self) -> float:
        """Seconds that were measured: all of them, or those until an early end."""
        if not (self.interrupted or self.gave_up) or not len(self):
            return self.seconds
        return max(0.0, float(self.intended_ns[-1]) / 1e9 - self.warmup)

    @property
    def achieved_rate(self) -> float:
        """Measured requests sent per second, all kinds together."""
        return self.requests / self.measured_seconds if self.measured_seconds else 0.0

    @property
    def sent_rate(self) -> float:
        """Requests that the generator got to per second, warm-up included."""
        last = int(self.dispatched_ns[-1]) if len(self) else 0
        return len(self) / (last / 1e9) if last > 0 else 0.0

    @property
    def latency_ms(self) -> NDArray[np.float64]:
        """Milliseconds from the intended send time to the whole answer; infinite for a miss."""
        counted = self._counted
        latency = (self.done_ns - self.intended_ns)[counted] / 1e6
        return np.where(self.outcome[counted] == Outcome.OK, latency, np.inf)

    @property
    def lag_ms(self) -> NDArray[np.float64]:
        """How late the generator itself was with each measured request, in milliseconds."""
        counted = self._counted
        return (self.dispatched_ns - self.intended_ns)[counted] / 1e6

    def quantile_ms(self, quantile: float) -> float:
        """A quantile of the latency, the misses counted as infinite; not a number without requests."""
        return quantile_of(self.latency_ms, quantile)

    def lag_quantile_ms(self, quantile: float = 0.99) -> float:
        """A quantile of the generator's own lag, in milliseconds."""
        return quantile_of(self.lag_ms, quantile)

    def outcomes(self) -> dict[Outcome, int]:
        """How many measured requests ended in each way."""
        return {Outcome(number): count for number, count in _counts(self.outcome[self._counted]).items()}

    def statuses(self) -> dict[int, int]:
        """How many measured requests had each status; 0 is no answer."""
        return _counts(self.status[self._counted])

    def paused_ms(self, count_from_ms: float = 0.0) -> float:
        """Milliseconds for which the generator's process did not run, from pauses of this length up."""
        lengths = (self.pauses_ns[:, 1] - self.pauses_ns[:, 0]) / 1e6
        return float(lengths[lengths >= count_from_ms].sum())

    def save(self, path: Path) -> None:
        """Write the recording as a compressed NumPy archive of plain arrays (no pickle)."""
        plain = {name: getattr(self, name) for name in PLAIN} | {"format": FORMAT}
        sizes = np.array([len(answer) for answer in self.answers], dtype=np.int64)
        with path.open("wb") as file:
            np.savez(
                file,
                plain=np.frombuffer(json.dumps(plain).encode(), dtype=np.uint8),
                answer_sizes=sizes,
                answer_bytes=np.frombuffer(b"".join(self.answers), dtype=np.uint8),
                pauses_ns=self.pauses_ns,
                **{name: getattr(self, name) for name in ROWS},
            )

    @classmethod
    def load(cls, path: Path) -> Recording:
        """Read what `save` wrote.

        Raises:
            ValueError: If the file is of another format.
        """
        with np.load(path, allow_pickle=False) as archive:
            plain: dict[str, Any] = json.loads(archive["plain"].tobytes())
            if plain.pop("format") != FORMAT:
                raise ValueError(f"{path} is a recording of another version.")
            joined = archive["answer_bytes"].tobytes()
            ends = np.cumsum(archive["answer_sizes"]).tolist()
            answers = (
                tuple(joined[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True))
                if ends
                else ()
            )
            return cls(
                **plain | {"kinds": tuple(plain["kinds"])},
                answers=answers,
                pauses_ns=archive["pauses_ns"],
                **{name: archive[name] for name in ROWS},
            )


def longest_stall(recording: Recording, kind: str | None = None) -> Stall:
    """How long a server stood still, seen by a light probe beside the load.

    A probe such as `GET /health` needs no time of its own: when it waits, it waits for the event loop. The
    true stall is at least this long less the probe's usual latency, and longer by one probe interval at most.

    Args:
        recording: A recording with a kind that has a rate of its own.
        kind: The name of that kind; all kinds by default.
    """
    probes = (recording.only(kind) if kind is not None else recording).measured()
    if not len(probes):
        return Stall(float("nan"), 0.0, answered=False)
    waits = probes.done_ns - probes.intended_ns
    longest = int(np.argmax(waits))
    return Stall(
        milliseconds=float(waits[longest] / 1e6),
        at_seconds=float(probes.intended_ns[longest] / 1e9 - probes.warmup),
        answered=bool(probes.status[longest]) or probes.outcome[longest] == Outcome.OK,
    )


def quantile_of(values: NDArray[np.float64], quantile: float) -> float:
    """The smallest value with at least this part of all values at or below it; infinity is a value."""
    if not len(values):
        return float("nan")
    rank = min(len(values) - 1, max(0, int(np.ceil(quantile * len(values))) - 1))
    return float(np.partition(values, rank)[rank])


def _counts(values: NDArray[Any]) -> dict[int, int]:
    return dict(sorted(Counter(values.tolist()).items()))
