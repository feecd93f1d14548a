"""A connection that stops being HTTP: the raw `Upgrade: SPDY/3.1` of older clients."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import web

from labkit.clusters.embedded.streams.spdy import Connection, Stream


class Taken(asyncio.Protocol):
    """The connection from its 101 on.

    Attributes:
        spdy: What it speaks.
        closed: Set when the client is gone.
    """

    def __init__(self, transport: asyncio.Transport, opened: Callable[[Stream], None]) -> None:
        self._transport = transport
        self.spdy = Connection(self._write, opened)
        self.closed = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._came: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._reading = asyncio.get_running_loop().create_task(self._read())

    @classmethod
    def over(cls, request: web.Request, protocol: str, opened: Callable[[Stream], None]) -> Taken:
        """Take a request's connection over."""
        transport = request.transport
        if transport is None:
            raise ConnectionResetError
        assert isinstance(transport, asyncio.Transport)
        taken = cls(transport, opened)
        transport.set_protocol(taken)
        transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n"
            + f"X-Stream-Protocol-Version: {protocol}\r\n\r\n".encode()
        )
        return taken

    def close(self) -> None:
        """End it."""
        self._reading.cancel()
        self._transport.close()

    async def _write(self, data: bytes) -> None:
        await self._room.wait()
        if self.closed.is_set():
            raise ConnectionResetError("the client is gone")
        self._transport.write(data)

    async def _read(self) -> None:
        while (data := await self._came.get()) is not None:
            try:
                await self.spdy.feed(data)
            except (ValueError, ConnectionError):
                break
        self.spdy.lost()
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Hand on what came, in order."""
        self._came.put_nowait(data)

    def connection_lost(self, error: Exception | None) -> None:
        """Let whoever writes or reads know."""
        self.closed.set()
        self._room.set()
        self._came.put_nowait(None)

    def pause_writing(self) -> None:
        """The client reads too slowly."""
        self._room.clear()

    def resume_writing(self) -> None:
        """There is room again."""
        self._room.set()
