"""Unary gRPC calls for the load generator, over grpcio's asyncio channels."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import grpc
import grpc.aio

from labkit.load.outcomes import Outcome
from labkit.load.transport import Ledger


class GrpcTransport:
    """Calls spread over a few channels; messages go as the bytes that they are.

    Args:
        url: `grpc://host:port`.
        kinds: The plain form of the request kinds; `path` is the full method name.
        ledger: Where sending and answers are noted.
        channels: How many channels.
    """

    def __init__(
        self, url: str, kinds: Sequence[Mapping[str, Any]], ledger: Ledger, *, channels: int
    ) -> None:
        self._address = urlsplit(url)
        self._kinds = kinds
        self._bodies = [[base64.b64decode(body) for body in kind["bodies"]] for kind in kinds]
        self._metadata = [
            [(name.lower(), value) for name, value in kind["headers"].items()] for kind in kinds
        ]
        self._expected = [frozenset(kind["expected"]) for kind in kinds]
        self._timeouts = [float(kind["timeout"]) for kind in kinds]
        self._ledger = ledger
        self._count = channels
        self._channels: list[grpc.aio.Channel] = []
        self._calls: list[list[Any]] = []
        self._in_flight: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Make the channels, each with a connection of its own, and try to connect them."""
        options = [("grpc.use_local_subchannel_pool", 1)]
        target = f"{self._address.hostname}:{self._address.port or 50051}"
        self._channels = [grpc.aio.insecure_channel(target, options=options) for _ in range(self._count)]
        self._calls = [
            [channel.unary_unary(kind["path"]) for kind in self._kinds] for channel in self._channels
        ]
        for channel in self._channels:
            try:
                await asyncio.wait_for(channel.channel_ready(), timeout=2.0)
            except TimeoutError:
                break  # the calls themselves tell

    def send(self, index: int) -> None:
        """Start one call."""
        task = asyncio.get_running_loop().create_task(self._call(index))
        self._in_flight.add(task)
        task.add_done_callback(self._in_flight.discard)

    async def _call(self, index: int) -> None:
        ledger = self._ledger
        kind = ledger.kind[index]
        body = self._bodies[kind][ledger.request[index]]
        left = self._timeouts[kind] - (ledger.now() - ledger.due[index]) / 1e9
        call = self._calls[index % self._count][kind](
            body, timeout=max(left, 0.001), metadata=self._metadata[kind]
        )
        ledger.sent[index] = ledger.now()
        ledger.sent_bytes[index] = len(body)
        try:
            answer = await call
        except grpc.aio.AioRpcError as error:
            self._failed(index, kind, error.code())
            return
        ledger.received_bytes[index] = len(answer)
        right = 0 in self._expected[kind]
        ledger.finish(index, Outcome.OK if right else Outcome.WRONG_STATUS, 0, answer)

    def _failed(self, index: int, kind: int, code: grpc.StatusCode) -> None:
        number = int(code.value[0])
        if number in self._expected[kind]:
            outcome = Outcome.OK
        elif code is grpc.StatusCode.DEADLINE_EXCEEDED:
            outcome = Outcome.TIMEOUT
        elif code is grpc.StatusCode.UNAVAILABLE:
            outcome = Outcome.REFUSED
        else:
            outcome = Outcome.WRONG_STATUS
        self._ledger.finish(index, outcome, number)

    def sweep(self, now: int) -> None:
        """Nothing: each call carries its deadline."""

    async def close(self) -> None:
        """Cancel what is on its way and close the channels."""
        for task in list(self._in_flight):
            task.cancel()
        await asyncio.gather(*self._in_flight, return_exceptions=True)
        for channel in self._channels:
            await channel.close()
