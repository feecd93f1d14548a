"""What pods and nodes use: one small interface between who measures and who serves or scales by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Amount:
    """What something uses.

    Attributes:
        cpu: In cores, the mean over a window.
        memory: The working set in bytes.
    """

    cpu: float
    memory: int

    def __add__(self, other: Amount) -> Amount:
        """Both together."""
        return Amount(self.cpu + other.cpu, self.memory + other.memory)


NOTHING = Amount(0.0, 0)


@dataclass(frozen=True, slots=True)
class Used:
    """What a pod or a node used, and when that was measured.

    Attributes:
        containers: By container; a node's is one entry with an empty name.
        at: The end of the window.
        window: The seconds over which `cpu` is the mean.
    """

    containers: Mapping[str, Amount]
    at: datetime
    window: float

    @property
    def total(self) -> Amount:
        """All containers together."""
        return sum(self.containers.values(), NOTHING)

    @property
    def cpu(self) -> float:
        """Cores, all containers together."""
        return self.total.cpu

    @property
    def memory(self) -> int:
        """Bytes, all containers together."""
        return self.total.memory


class Usage(Protocol):
    """Knows what pods and nodes use."""

    def of_pod(self, uid: str) -> Used | None:
        """What a pod uses; None if that is not known (yet)."""
        ...

    def of_node(self, name: str) -> Used | None:
        """What a node's pods use together; None if that is not known (yet)."""
        ...


class Usages:
    """Several sources as one: the first that knows an answer gives it.

    Args:
        sources: One for each kind of node.
    """

    def __init__(self, sources: Sequence[Usage]) -> None:
        self.sources = sources

    def of_pod(self, uid: str) -> Used | None:
        """What a pod uses; None if nobody knows."""
        return next((found for one in self.sources if (found := one.of_pod(uid))), None)

    def of_node(self, name: str) -> Used | None:
        """What a node's pods use together; None if nobody knows."""
        return next((found for one in self.sources if (found := one.of_node(name))), None)
