"""What the containers of a node use, as the engine counts it."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from labkit.clusters.embedded.agents import creation
from labkit.clusters.embedded.agents.engine import Engine, EngineError
from labkit.clusters.embedded.usage import NOTHING, Amount, Used

Object = dict[str, Any]
_LOG = logging.getLogger(__name__)
SECONDS = 2.0
"""Between two samples."""


@dataclass
class _Counted:
    """A container's counters at one moment: nanoseconds of cpu, bytes, and when."""

    cpu: int
    memory: int
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


class MeasuredUsage:
    """Samples the containers of one cluster.

    Args:
        engine: Where they run.
        cluster: What they are labelled with.
        node: The name of their node.
    """

    def __init__(self, engine: Engine, cluster: str, node: str) -> None:
        self._engine, self._cluster, self._node = engine, cluster, node
        self._before: dict[str, _Counted] = {}
        self._used: dict[str, Used] = {}

    def of_pod(self, uid: str) -> Used | None:
        """What a pod used between the last two samples; None until there are two."""
        return self._used.get(uid)

    def of_node(self, name: str) -> Used | None:
        """What all pods of the node used together."""
        if name != self._node:
            return None
        total = sum((used.total for used in self._used.values()), NOTHING)
        return Used(
            {"": total}, max((one.at for one in self._used.values()), default=datetime.now(UTC)), SECONDS
        )

    async def run(self) -> None:
        """Take samples until cancelled."""
        while True:
            try:
                await self._sample()
            except Exception:  # one sample that went wrong must not be the last one
                _LOG.exception("the containers could not be measured this time")
            await asyncio.sleep(SECONDS)

    async def _sample(self) -> None:
        found: dict[str, dict[str, Amount]] = {}
        windows: dict[str, float] = {}
        now: dict[str, _Counted] = {}
        there = [
            one
            for one in await self._engine.containers(f"{creation.CLUSTER}={self._cluster}")
            if one["State"] == "running" and creation.CONTAINER in one["Labels"]
        ]
        # The engine may take a second for each: asked one after the other, the last would come late.
        counts = await asyncio.gather(*(self._count(str(one["Id"])) for one in there))
        for one, counted in zip(there, counts, strict=True):
            labels, name = one["Labels"], str(one["Id"])
            if counted is None:
                continue
            now[name] = counted
            before = self._before.get(name)
            if before is None:
                continue
            window = (counted.at - before.at).total_seconds()
            amount = Amount(max(0, counted.cpu - before.cpu) / 1e9 / window, counted.memory)
            found.setdefault(labels[creation.POD], {})[labels[creation.CONTAINER]] = amount
            windows[labels[creation.POD]] = window
        self._before = now
        at = datetime.now(UTC)
        self._used = {uid: Used(each, at, windows[uid]) for uid, each in found.items()}

    async def _count(self, container: str) -> _Counted | None:
        how: Object = {"stream": False, "one-shot": True}
        try:
            found: Object = await self._engine.ask("GET", f"/containers/{container}/stats", **how)
            memory, cpu = found["memory_stats"], found["cpu_stats"]["cpu_usage"]["total_usage"]
            details = memory.get("stats") or {}
            # What can be dropped at once is no part of the working set; the name is that of cgroup v1 or v2.
            cache = details.get("total_inactive_file", details.get("inactive_file", 0))
            return _Counted(int(cpu), max(0, int(memory["usage"]) - int(cache)))
        except (EngineError, KeyError, TypeError):
            return None  # it ended meanwhile
