"""A learner's registry, called from machines of several clouds: once, many at once, or broken off."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from labkit.errors import WorkFault
from labkit.isolation.functions import LearnerFunction
from labkit.platform.contents import Contents
from labkit.platform.laying import lay
from labkit.storage import Fault, Gateway, Machine, Request
from labkit.storage.machines import AWS, Place

WRITES = ("PUT", "POST", "DELETE")


class Raised(WorkFault):
    """A call of the learner's registry raised something; `name` says which class."""

    def __init__(self, what: str, *, name: str, why: str = "") -> None:
        super().__init__(what, why=why)
        self.name = name


class Promoter:
    """A machine that uses the registry.

    Args:
        work: The learner's files.
        gateway: The way to the bucket.
        name: The machine's.
        scratch: Where its disk is laid.
        logs: Where its log goes.
        place: Where it stands.
        clock: By how many seconds its clock is wrong.
    """

    def __init__(
        self,
        work: Path,
        gateway: Gateway,
        *,
        name: str,
        scratch: Path,
        logs: Path,
        place: Place = AWS,
        clock: float = 0.0,
    ) -> None:
        self.name = name
        self.gateway = gateway
        machine = Machine(name, gateway, place=place, environment={"CLOCK_OFFSET": str(clock)})
        folder = lay(work, scratch / name)
        log = logs / f"{name}.log"
        self._call = LearnerFunction("workbook_promoter:run", folder, log=log, guard=machine, seconds=30)

    def call(self, method: str, *arguments: Any) -> Any:
        """`Registry.method(*arguments)`; bytes cross as arrays.

        Raises:
            Raised: It raised something.
            WorkFault: Its process ended, or took too long.
        """
        return _value(method, self._call("call", method, [_plain(each) for each in arguments]))

    def at_once(self, method: str, calls: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
        """The same for each of these arguments, at once; each gives `{"value": ...}` or `{"raised": ...}`."""
        told = self._call("at_once", method, [[_plain(each) for each in call] for call in calls])
        if not isinstance(told, list) or not all(isinstance(each, dict) for each in told):
            raise WorkFault(f"{method} gave no proper answer to {len(calls)} calls at once.")
        return told

    def cut_at(self, write: int, fault: Fault, method: str, *arguments: Any) -> bool:
        """Call it, and lose its line at its n-th write (from 1); gives whether it came that far.

        With `Fault.UNANSWERED` that write happens, and nothing after it; with `Fault.LOST` it does not.
        """
        seen = [0]
        lock = threading.Lock()

        def strike(request: Request) -> Fault | None:
            with lock:
                seen[0] += request.method in WRITES
                if seen[0] < write:
                    return None
                if seen[0] == write and request.method in WRITES:
                    return fault
                return Fault.LOST

        self.gateway.hooks[self.name] = strike
        try:
            self._call("call", method, [_plain(each) for each in arguments])
        finally:
            del self.gateway.hooks[self.name]
        return seen[0] >= write

    def close(self) -> None:
        """End it."""
        self._call.close()

    def __enter__(self) -> Promoter:
        """It is there already."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self.close()


@dataclass
class Race:
    """What became of promotions that raced.

    Attributes:
        rounds: How many there were; in each, all expect what is there.
        promotions: How many were tried in all.
        winners: The versions that won, in order.
        without_winner: Rounds in which nobody won.
        with_several: Rounds in which more than one was told that it had won.
        lost: Rounds after which the stage held something else than the winner's version.
        others: What losers raised besides Conflict, by name.
        seconds: How long it took.
    """

    rounds: int = 0
    promotions: int = 0
    winners: list[int] = field(default_factory=list)
    without_winner: int = 0
    with_several: int = 0
    lost: int = 0
    others: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def clean(self) -> bool:
        """Whether each round had its one winner, and nothing else happened."""
        return not (self.without_winner or self.with_several or self.lost or self.others)


def race(
    promoters: Sequence[Promoter], model: str, stage: str, *, rounds: int, each: int, contents: Contents
) -> Race:
    """Let machines promote at once, round after round: in each, all expect the version that is there.

    Args:
        promoters: The machines, of one bucket.
        model: The model; its versions 1 to `each * len(promoters) + 1` are registered.
        stage: The stage.
        rounds: How many.
        each: Promotions that each machine begins at once.
        contents: The bucket's.
    """
    found = Race()
    gateway = promoters[0].gateway
    begun = gateway.seconds
    versions = list(range(1, each * len(promoters) + 2))
    current = contents.stage(model, stage).version
    for _ in range(rounds):
        wanted = [version for version in versions if version != current][: each * len(promoters)]
        shares = [wanted[number :: len(promoters)] for number in range(len(promoters))]
        told = side_by_side(
            promoters,
            "promote",
            [[[model, version, stage, current] for version in share] for share in shares],
        )
        answers = [
            (version, answer)
            for share, answers in zip(shares, told, strict=True)
            for version, answer in zip(share, answers, strict=True)
        ]
        won = [version for version, answer in answers if "raised" not in answer]
        for _, answer in answers:
            name = answer.get("raised")
            if name not in (None, "Conflict"):
                found.others[str(name)[:60]] = found.others.get(str(name)[:60], 0) + 1
        current = contents.stage(model, stage).version
        found.rounds += 1
        found.promotions += len(answers)
        found.without_winner += not won
        found.with_several += len(won) > 1
        found.lost += len(won) == 1 and current != won[0]
        found.winners += won
    found.seconds = gateway.seconds - begun
    return found


def side_by_side(
    promoters: Sequence[Promoter], method: str, calls: Sequence[Sequence[Sequence[Any]]]
) -> list[list[dict[str, Any]]]:
    """Each machine's calls, as `Promoter.at_once` makes them, on all machines at once."""
    with ThreadPoolExecutor(len(promoters)) as pool:
        asked = [
            pool.submit(promoter.at_once, method, own) for promoter, own in zip(promoters, calls, strict=True)
        ]
    return [each.result() for each in asked]


def _plain(value: Any) -> Any:
    return np.frombuffer(value, dtype=np.uint8) if isinstance(value, bytes) else value


def _value(method: str, told: Any) -> Any:
    if not isinstance(told, dict):
        raise WorkFault(f"{method} gave no proper answer.")
    if "raised" in told:
        name = str(told["raised"])[:60]
        raise Raised(f"{method} raised {name}.", name=name, why=str(told.get("said", ""))[:200])
    value = told.get("value")
    return value.tobytes() if isinstance(value, np.ndarray) else value
