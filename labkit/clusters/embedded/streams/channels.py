"""The numbered channels of exec and attach, over a WebSocket or over SPDY's streams."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from aiohttp import WSMsgType, web

from labkit.clusters.embedded import errors
from labkit.clusters.embedded.requests import flag
from labkit.clusters.embedded.streams.spdy import Stream
from labkit.clusters.embedded.streams.upgrade import Taken

STDIN, STDOUT, STDERR, ERROR, RESIZE = range(5)
_NAMES = {"stdin": STDIN, "stdout": STDOUT, "stderr": STDERR, "error": ERROR, "resize": RESIZE}
_WEBSOCKET = ("v5.channel.k8s.io", "v4.channel.k8s.io")
_SPDY = "v4.channel.k8s.io"
_CLOSE = 255
_OPEN_SECONDS = 10.0

Message = tuple[int, bytes | None]
"""A channel and what came on it; None is its end."""


class Channels(Protocol):
    """Both directions of one exec or attach."""

    async def receive(self) -> Message | None:
        """What comes next; None when the client is gone."""
        ...

    async def send(self, channel: int, data: bytes) -> None:
        """Send something.

        Raises:
            ConnectionError: The client is gone.
        """
        ...

    async def close(self) -> web.StreamResponse:
        """End it; gives what the request is answered with."""
        ...


async def accept(request: web.Request) -> Channels:
    """Open the channels that a request asks for.

    Raises:
        ApiError: It asks for no upgrade, or for one that is not known here.
    """
    if request.headers.get("Upgrade", "").lower() == "websocket":
        socket = web.WebSocketResponse(protocols=_WEBSOCKET, max_msg_size=0, compress=False)
        await socket.prepare(request)
        found = _OverWebSocket(socket)
        await found.greet()
        return found
    if request.headers.get("Upgrade", "").upper() == "SPDY/3.1":
        asked = [name for name in ("stdin", "stdout", "stderr") if flag(request, name)]
        wanted = ["error", *asked, *(["resize"] if flag(request, "tty") else [])]
        if flag(request, "tty") and "stderr" in wanted:
            wanted.remove("stderr")
        return await _OverSpdy.open(request, wanted)
    raise errors.bad_request("Upgrade request required")


class _OverWebSocket:
    """Each message begins with the channel's number."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket

    async def greet(self) -> None:
        """Version 4 begins with an empty message on each channel that the server writes."""
        if self._socket.ws_protocol != _WEBSOCKET[0]:
            for channel in (STDOUT, STDERR):
                await self._socket.send_bytes(bytes([channel]))

    async def receive(self) -> Message | None:
        """What comes next; the Python client sends text."""
        while True:
            message = await self._socket.receive()
            if message.type not in (WSMsgType.BINARY, WSMsgType.TEXT):
                return None
            data = message.data.encode() if isinstance(message.data, str) else message.data
            if len(data) >= 2 and data[0] == _CLOSE:
                return data[1], None
            if data:
                return data[0], bytes(data[1:])

    async def send(self, channel: int, data: bytes) -> None:
        """Send a message."""
        await self._socket.send_bytes(bytes([channel]) + data)

    async def close(self) -> web.StreamResponse:
        """Say goodbye."""
        with suppress(ConnectionError):
            await self._socket.close()
        return self._socket


class _OverSpdy:
    """Each channel is a stream, named by its header."""

    def __init__(self, taken: Taken, streams: dict[int, Stream]) -> None:
        self._taken, self._streams = taken, streams
        self._came: asyncio.Queue[Message | None] = asyncio.Queue()
        self._pumps = [
            asyncio.create_task(self._pump(channel, streams[channel]))
            for channel in (STDIN, RESIZE)
            if channel in streams
        ]
        self._pumps.append(asyncio.create_task(self._until_lost()))

    @classmethod
    async def open(cls, request: web.Request, wanted: Sequence[str]) -> _OverSpdy:
        """Take the connection over and wait for its streams."""
        streams: dict[int, Stream] = {}
        there = asyncio.Event()

        def opened(stream: Stream) -> None:
            channel = _NAMES.get(stream.headers.get("streamtype", ""))
            if channel is not None:
                streams[channel] = stream
            if {_NAMES[name] for name in wanted} <= set(streams):
                there.set()

        taken = Taken.over(request, _SPDY, opened)
        try:
            async with asyncio.timeout(_OPEN_SECONDS):
                await there.wait()
        except TimeoutError:
            taken.close()
            raise ConnectionResetError("the client did not open its streams") from None
        return cls(taken, streams)

    async def receive(self) -> Message | None:
        """What comes next."""
        return await self._came.get()

    async def send(self, channel: int, data: bytes) -> None:
        """Send on the channel's stream, if the client opened it."""
        if channel in self._streams:
            await self._streams[channel].write(data)

    async def close(self) -> web.StreamResponse:
        """End the streams, and wait a moment for the client to go first."""
        for pump in self._pumps:
            pump.cancel()
        with suppress(ConnectionError, TimeoutError):
            for channel in (STDOUT, STDERR, ERROR):
                if channel in self._streams:
                    await self._streams[channel].end()
            async with asyncio.timeout(1):
                await self._taken.closed.wait()
        self._taken.close()
        return web.Response()

    async def _pump(self, channel: int, stream: Stream) -> None:
        while (data := await stream.read()) is not None:
            self._came.put_nowait((channel, data))
        self._came.put_nowait((channel, None))

    async def _until_lost(self) -> None:
        await self._taken.closed.wait()
        self._came.put_nowait(None)
