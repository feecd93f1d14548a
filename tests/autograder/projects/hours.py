"""Hours as the judge of project 1 would have seen them, made up; only what judges them is real."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autograder.answers import answers_of
from autograder.loading import load_rubric
from autograder.production.contract import LABELS_DOWN
from autograder.production.hour import Happened, Seen
from autograder.production.manifests import read_manifests, read_plan
from autograder.production.release import Ended, Release
from autograder.production.script import BAD, HOUR, Event, Part
from labkit.course import find_course
from labkit.load import Outcome, Recording
from labkit.monitoring import Delivered, Series

BEGAN = 1_000_000.0
"""When the first part begins, Unix seconds."""

Lost = Callable[[NDArray[np.float64]], NDArray[np.bool_]]
"""Which requests of a part are lost, by when they were due: seconds since it began."""


def none_lost(at: NDArray[np.float64]) -> NDArray[np.bool_]:
    """All are answered."""
    return np.zeros(len(at), dtype=bool)


def one_in(number: int) -> Lost:
    """Every so manieth is lost."""
    return lambda at: np.arange(len(at)) % number == 0


def a_recording(
    part: Part, *, lost: Lost = none_lost, latency_ms: float = 12.0, lag_ms: float = 0.2
) -> Recording:
    """What a load recorded: each answered rightly after so long, but for those that are lost."""
    due = part.schedule(0).arrivals()
    missed = lost(due / 1e9)
    count = len(due)
    none = np.full(count, -1, dtype=np.int32)
    generator = np.random.default_rng(1)
    return Recording(
        kinds=("usual", "new client"),
        url="http://10.96.0.7:80",
        rate=(part.rate + part.end_rate) / 2,
        seconds=part.seconds,
        warmup=1.0,
        started_at="2026-11-25T10:00:00+00:00",
        interrupted=False,
        gave_up=False,
        kind=(generator.random(count) < 0.05).astype(np.int16),
        intended_ns=due,
        dispatched_ns=due + round(lag_ms * 1e6),
        sent_ns=due + round(lag_ms * 1e6),
        done_ns=due + round(latency_ms * 1e6),
        outcome=np.where(missed, Outcome.WRONG_STATUS, Outcome.OK).astype(np.int8),
        status=np.where(missed, 500, 200).astype(np.int16),
        retry_after=np.full(count, np.nan, dtype=np.float32),
        sent_bytes=none,
        received_bytes=none,
        request=none,
        answer=none,
        answers=(),
        pauses_ns=np.empty((0, 2), dtype=np.int64),
        bystanders=0.0,
    )


@dataclass
class Service:
    """How a service fared: the defaults are a good one's.

    Attributes:
        script: The hour.
        lost: Which requests of a part are lost, by its name.
        latency_ms: How long each takes, by part; 12 by default.
        lag_ms: How late the generator was, by part; 0.2 by default.
        replicas: How many it had at first, at the peak and in the end.
        exposed: For how long the bad release had traffic; none if it was never taken back.
        update: How the update ended.
        alerts: Alerts besides those that were due: each a name and the part that it fired in.
        quiet: Alerts that were due and did not fire.
        unjoined: How many of 100 traced requests one of the logs does not name.
    """

    script: Sequence[Part] = HOUR
    lost: dict[str, Lost] = field(default_factory=dict)
    latency_ms: dict[str, float] = field(default_factory=dict)
    lag_ms: dict[str, float] = field(default_factory=dict)
    replicas: tuple[int, int, int] = (2, 4, 2)
    exposed: float | None = 7.0
    update: Ended = Ended.RELEASED
    alerts: Sequence[tuple[str, str]] = ()
    quiet: Sequence[str] = ()
    unjoined: int = 0

    def seen(self) -> Seen:
        """The hour that the judge saw of it."""
        reference = reference_folder()
        seen = Seen(read_manifests(reference), read_plan(reference))
        began = BEGAN
        for part in self.script:
            recording = a_recording(
                part,
                lost=self.lost.get(part.name, none_lost),
                latency_ms=self.latency_ms.get(part.name, 12.0),
                lag_ms=self.lag_ms.get(part.name, 0.2),
            )
            seen.parts.append((part, began, recording))
            self._events(seen, part, began)
            began += part.seconds + 1
        seen.replicas = {"digits-blue": self._replicas(seen)}
        seen.traces = {f"trace-{number}": 2 - (number < self.unjoined) for number in range(100)}
        return seen

    def _events(self, seen: Seen, part: Part, began: float) -> None:
        match part.event:
            case Event.UPDATE:
                seen.releases[part.event] = Release(self.update, "", "green", began + 15)
            case Event.BROKEN_RELEASE:
                seen.releases[part.event] = Release(Ended.REFUSED, "200 of 200 were wrong", "green")
            case Event.BAD_RELEASE:
                seen.releases[part.event] = self._bad(began + 15)
        if part.event is not Event.NOTHING:
            seen.happened.append(Happened(f"{part.event.value} begins", began + 3))
        due = {BAD: "ServiceErrors", "no labels": LABELS_DOWN}.get(part.name)
        if due is not None and due not in self.quiet:
            seen.alerts += [_alert(due, began + 20, firing=firing) for firing in (True, False)]
        seen.alerts += [_alert(name, began + 5) for name, where in self.alerts if where == part.name]

    def _bad(self, switched: float) -> Release:
        if self.exposed is None:
            return Release(Ended.RELEASED, "", "green", switched)
        return Release(Ended.TAKEN_BACK, "ServiceErrors", "green", switched, switched + self.exposed)

    def _replicas(self, seen: Seen) -> Series:
        first, peak, last = self.replicas
        (_, begins, _) = next(each for each in seen.parts if each[0].name == "peak")
        part, ends, _ = seen.parts[-1]
        times = np.array([BEGAN, begins + 1, ends + part.seconds - 5])
        return Series({"deployment": "digits-blue"}, times, np.array([first, peak, last], dtype=float))


def reference_folder() -> Path:
    """Where the reference of project 1 lies."""
    lab = next(lab for lab in find_course().labs if lab.id == "project1")
    return next(a.folder for a in answers_of(load_rubric(lab)) if a.name == "reference" and a.folder)


def _alert(name: str, at: float, *, firing: bool = True) -> Delivered:
    return Delivered(name, {"alertname": name}, firing, since=at, at=at + 0.5)
