"""What the loads of lab 11-05 show: objectives, images that were asked twice, and why requests missed."""

from dataclasses import dataclass

import numpy as np

from autograder.rubric import require
from autograder.rubrics.week11_serving.reader_load import SELDOM_IMAGES
from labkit.load import Outcome, Recording
from labkit.slo import Objective
from labkit.slo.judge import excuse
from labkit.slo.retries import Decision
from labkit.verdicts import Judgement, Verdict

ALONE = Objective(milliseconds=50, quantile=0.9, confidence=0.99)
BUSY = Objective(milliseconds=100, quantile=0.99, confidence=0.99)
QUICKER = 0.7
"""An answer from memory takes at most this part of the time of one from the model."""


@dataclass(frozen=True)
class Seldom:
    """A load in which nobody else is there, and the latencies of images asked twice in a row."""

    decision: Decision

    @property
    def last(self) -> Recording:
        """The recording that was made last."""
        return self.decision.recordings[-1]

    @property
    def first_ms(self) -> np.ndarray:
        """Of each image, the first time, in milliseconds."""
        return self.last.latency_ms[0::2]

    @property
    def again_ms(self) -> np.ndarray:
        """Of the same images, the second time."""
        return self.last.latency_ms[1::2]


def count_quicker(again: np.ndarray, first: np.ndarray) -> tuple[int, int]:
    """How many of the images were answered clearly quicker than the first time, and of how many."""
    both = np.isfinite(again) & np.isfinite(first)
    lost = int((~both).sum())
    require(lost < SELDOM_IMAGES / 2, f"{lost} of {len(both)} got no right answer in time" if lost else "")
    return int((again[both] < QUICKER * first[both]).sum()), int(both.sum())


def decide(share: float, said: str, recording: Recording, *, cause: str) -> None:
    """Passed from three quarters on, failed up to half; in between, or beside busy programs, inconclusive."""
    if share >= 0.75:
        require(True, said)
        return
    busy = excuse([recording])
    if busy or share > 0.5:
        require(Judgement(Verdict.INCONCLUSIVE, f"{busy}: {said}" if busy else said))
    require(False, said, cause=cause)


def why_missed(recording: Recording) -> str:
    """What most requests that missed had in common."""
    seen = recording.outcomes()
    if wrong := seen.get(Outcome.WRONG_ANSWER, 0):
        return f"{wrong} answers were wrong: in a batch, each row belongs to the one who asked."
    if lost := recording.misses - seen.get(Outcome.TIMEOUT, 0):
        return f"{lost} of {recording.requests} got no answer at all, or another status than 200."
    latency = recording.latency_ms[np.isfinite(recording.latency_ms)]
    early, late = (float(np.median(half)) for half in np.array_split(latency, 2))
    if late > max(2 * early, BUSY.milliseconds):
        return "Everybody waited longer than the one before: it does not keep up."
    if np.median(latency) > ALONE.milliseconds:
        return "Most of them waited, with hardly anything to do: for company?"
    return "Some of them waited: for company, or behind a large batch."
