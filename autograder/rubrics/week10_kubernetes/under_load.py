"""Something is done while requests come: what was lost, and which version answered when."""

import json
import threading
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from labkit.load import Outcome, Recording, Schedule, run

LONGEST = 100.0
AFTER = 2.0
"""Seconds of load before it begins, and after it has ended."""


@dataclass(frozen=True)
class LoadSeen:
    """A load, and what was done meanwhile.

    Attributes:
        recording: The load.
        began: When it was begun to do it, seconds from the load's start.
        seconds: How long that took.
    """

    recording: Recording
    began: float
    seconds: float

    @property
    def requests(self) -> int:
        """How many came."""
        return len(self.recording)

    @property
    def lost(self) -> int:
        """How many got no right answer."""
        return int(np.count_nonzero(self.recording.outcome != Outcome.OK))

    @property
    def lost_words(self) -> str:
        """How they ended."""
        counts = self.recording.outcomes().items()
        return ", ".join(f"{count} {how.words}" for how, count in counts if how is not Outcome.OK)

    def _versions(self) -> list[tuple[float, str]]:
        """When each right answer came, and of which version it is, in the order of the requests."""
        answered = np.flatnonzero(self.recording.outcome == Outcome.OK)
        known = [json.loads(answer)["version"] for answer in self.recording.answers]
        return [(self.recording.done_ns[i] / 1e9, known[self.recording.answer[i]]) for i in answered]

    def served(self, version: str) -> int:
        """How many answers were of that version."""
        return sum(one == version for _, one in self._versions())

    def last(self, version: str) -> bool:
        """Whether the last 20 answers are all of that version."""
        last = [one for _, one in self._versions()[-20:]]
        return bool(last) and set(last) == {version}

    def until_last(self, version: str) -> float:
        """Seconds from the beginning until the last answer of that version; 0 if there was none."""
        when = [at - self.began for at, one in self._versions() if one == version]
        return max([0.0, *when])


def under_load(client, rate, action, *, network=None, least=0.0, exactly=None):
    """Do it while requests come, evenly spaced.

    Args:
        client: What is sent, with answers kept.
        rate: Requests a second.
        action: What is done.
        network: Where the load is sent from.
        least: Seconds that the load lasts at least.
        exactly: Seconds that it lasts, whenever the action ends; by default until that has ended.

    Raises:
        WorkbookError: Whatever the action raised.
    """
    state: dict[str, Any] = {"start": 0.0, "ended": None, "error": None}
    started = threading.Event()

    def act():
        started.wait()
        time.sleep(AFTER)
        began = time.monotonic()
        state["began"] = began
        try:
            action()
        except Exception as error:
            state["error"] = error
        state["seconds"] = time.monotonic() - began
        state["ended"] = time.monotonic()

    ended: list[bool] = []

    def follow(now):
        if not started.is_set():
            state["start"] = time.monotonic() - now.seconds
            started.set()
        over = state["ended"] is not None and time.monotonic() - state["ended"] > AFTER
        if exactly is None and over and now.seconds >= least and not ended:
            ended.append(True)
            raise KeyboardInterrupt  # as by hand: the load ends, and what was measured is kept

    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    schedule = Schedule.constant(rate, seconds=exactly or LONGEST, warmup=0)
    recording = run(schedule, client, progress=follow, network=network)
    started.set()
    thread.join()
    if state["error"] is not None:
        raise state["error"]
    return LoadSeen(recording.measured(), state["began"] - state["start"], state["seconds"])
