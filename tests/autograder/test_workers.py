"""Who gets which unit: workers that are played, so that it shows what each has before it."""

from __future__ import annotations

import json
import os
from collections import deque
from pathlib import Path

import pytest

from autograder.nbgrading.judging import Part
from autograder.nbgrading.worker import Place, Unit
from autograder.nbgrading.workers import AT_ONCE, LocalWorkers


class Played:
    """Answers each unit as soon as it has it, and remembers how many it had at most."""

    def __init__(self) -> None:
        reading, self._writing = os.pipe()
        self.out = os.fdopen(reading, "rb")
        self.ready, self.buffer, self.most = False, b"", 0
        self.units: deque[tuple[Unit, int]] = deque()
        self._say(ready=True)

    def _say(self, **message: object) -> None:
        os.write(self._writing, json.dumps(message).encode() + b"\n")

    def give(self, unit: Unit, tries: int) -> None:
        self.units.append((unit, tries))
        self.most = max(self.most, len(self.units))
        self._say(done=unit.learner, more=False)

    def close(self) -> None:
        os.close(self._writing)
        self.out.close()


@pytest.fixture
def played(monkeypatch):
    """Has units of a part done by two such workers; gives how many each had at most."""
    made: list[Played] = []

    def run(part: Part, count: int) -> list[int]:
        workers = LocalWorkers(Place("", "", "", ""), jobs=2, say=lambda phase: None)

        def start() -> None:
            made.append(Played())
            workers._workers.append(made[-1])
            workers._selector.register(made[-1].out, 1, made[-1])

        monkeypatch.setattr(workers, "_start", start)
        units = [Unit(f"learner-{number}", part, str(Path("nowhere")), "key") for number in range(count)]
        done = [returned.unit.learner for returned in workers.run(units)]
        assert sorted(done) == sorted(unit.learner for unit in units)
        workers._selector.close()
        return [worker.most for worker in made]

    yield run
    for worker in made:
        worker.close()


def test_a_live_unit_never_waits_behind_another(played):
    assert played(Part.LIVE, 5) == [1, 1]


def test_quick_units_are_at_hand_once_all_workers_are_there(played):
    assert max(played(Part.STATIC, 8)) == AT_ONCE


def test_no_unit_waits_behind_another_while_a_worker_is_being_started(played):
    assert max(played(Part.STATIC, 2)) == 1
