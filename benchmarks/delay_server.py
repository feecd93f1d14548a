"""An HTTP server whose latency is known: `python -m benchmarks.delay_server PORT BEHAVIOUR`.

| behaviour | answers |
| --- | --- |
| `prompt` | at once |
| `spread` | after a log-normal time: median 10 ms, p99 51 ms |
| `late:0.03` | at once, but this share of them after 150 ms |
| `stall` | at once, but the event loop stands still for a second every ten |
"""

from __future__ import annotations

import asyncio
import math
import random
import sys
import time
from typing import cast

import httptools
import uvloop

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n"
LATE_SECONDS = 0.150
STALL_EVERY, STALL_SECONDS = 10.0, 1.0


class Answering(asyncio.Protocol):
    """One connection."""

    def __init__(self, behaviour: str, generator: random.Random) -> None:
        self._behaviour, _, share = behaviour.partition(":")
        self._share = float(share or 0)
        self._random = generator
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio: a client is there."""
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, _error: Exception | None) -> None:
        """Asyncio: it is gone."""
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """Asyncio: a part of a request."""
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        """Httptools: a whole request."""
        delay = self._delay()
        if delay:
            asyncio.get_running_loop().call_later(delay, self._answer)
        else:
            self._answer()

    def _delay(self) -> float:
        if self._behaviour == "spread":
            return self._random.lognormvariate(math.log(0.010), 0.7)
        if self._behaviour == "late" and self._random.random() < self._share:
            return LATE_SECONDS
        return 0.0

    def _answer(self) -> None:
        if self._transport is not None:
            self._transport.write(ANSWER)


async def main(port: int, behaviour: str) -> None:
    """Serve until the process is ended."""
    loop = asyncio.get_running_loop()
    generator = random.Random(1)  # noqa: S311 - a repeatable load, no secret
    server = await loop.create_server(lambda: Answering(behaviour, generator), "127.0.0.1", port)

    def stall() -> None:
        time.sleep(STALL_SECONDS)
        loop.call_later(STALL_EVERY - STALL_SECONDS, stall)

    if behaviour == "stall":
        loop.call_later(STALL_EVERY / 2, stall)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), sys.argv[2]))
