"""Port-forward: connections to a pod's ports, over SPDY (raw or in a WebSocket) or over numbered channels."""

from __future__ import annotations

import asyncio
import struct
from contextlib import suppress

from aiohttp import WSMsgType, web

from labkit.clusters.embedded import errors
from labkit.clusters.embedded.streams.spdy import Connection, Stream
from labkit.clusters.embedded.streams.upgrade import Taken

_TUNNEL = "SPDY/3.1+portforward.k8s.io"
_SPDY = "portforward.k8s.io"
_CHANNELS = ("v4.channel.k8s.io", "portforward.k8s.io")
_PIECE = 1 << 16
_MOST_PORTS = 32


async def forward(request: web.Request, address: str) -> web.StreamResponse:
    """Carry connections to a pod's address until the client goes.

    Raises:
        ApiError: It asks for no upgrade, or for no ports.
    """
    upgrade = request.headers.get("Upgrade", "")
    if upgrade.upper() == "SPDY/3.1":
        pairs = _Pairs(address)
        taken = Taken.over(request, _SPDY, pairs.opened)
        await taken.closed.wait()
        await pairs.close()
        taken.close()
        return web.Response()
    if upgrade.lower() != "websocket":
        raise errors.bad_request("Upgrade request required")
    if _TUNNEL in request.headers.get("Sec-WebSocket-Protocol", ""):
        return await _tunnel(request, address)
    return await _channels(request, address)


async def _tunnel(request: web.Request, address: str) -> web.StreamResponse:
    socket = web.WebSocketResponse(protocols=[_TUNNEL], max_msg_size=0, compress=False)
    await socket.prepare(request)
    pairs = _Pairs(address)
    spdy = Connection(socket.send_bytes, pairs.opened)
    with suppress(ConnectionError, ValueError):
        async for message in socket:
            if message.type is WSMsgType.BINARY:
                await spdy.feed(message.data)
    spdy.lost()
    await pairs.close()
    await socket.close()
    return socket


class _Pairs:
    """Streams come in pairs, one for data and one for errors; each pair is one connection."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._waiting: dict[str, dict[str, Stream]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def opened(self, stream: Stream) -> None:
        """Begin when both of a pair are there."""
        number = stream.headers.get("requestid", "")
        pair = self._waiting.setdefault(number, {})
        pair[stream.headers.get("streamtype", "")] = stream
        if {"data", "error"} <= set(pair):
            del self._waiting[number]
            task = asyncio.get_running_loop().create_task(self._carry(pair["data"], pair["error"]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """End all connections."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _carry(self, data: Stream, error: Stream) -> None:
        port = data.headers.get("port", "0")
        try:
            with suppress(ConnectionError):
                try:
                    reader, writer = await asyncio.open_connection(self._address, int(port))
                except (OSError, ValueError) as refused:
                    why = f"failed to connect to {self._address}:{port} inside the pod: {refused}"
                    await error.end(why.encode())
                    await data.end()
                    return
                sending = asyncio.create_task(self._send(data, writer))
                try:
                    while piece := await reader.read(_PIECE):
                        await data.write(piece)
                finally:
                    sending.cancel()
                    writer.close()
                await data.end()
                await error.end()
        except OSError:
            return  # the pod or the client is gone

    async def _send(self, data: Stream, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while (piece := await data.read()) is not None:
                writer.write(piece)
                await writer.drain()
            writer.write_eof()


async def _channels(request: web.Request, address: str) -> web.StreamResponse:
    """As the Python client does: for each port a channel for data and one for errors, begun with the port."""
    try:
        ports = [int(port) for one in request.query.getall("ports", []) for port in one.split(",")]
    except ValueError:
        raise errors.bad_request("a port is not a number") from None
    if not ports or len(ports) > _MOST_PORTS or any(not 0 < port < 65536 for port in ports):
        raise errors.bad_request("query parameter 'ports' is required")
    socket = web.WebSocketResponse(protocols=_CHANNELS, max_msg_size=0, compress=False)
    await socket.prepare(request)
    writers: dict[int, asyncio.StreamWriter] = {}
    tasks = []
    for i, port in enumerate(ports):
        for channel in (2 * i, 2 * i + 1):
            await socket.send_bytes(bytes([channel]) + struct.pack("<H", port))
        try:
            reader, writers[2 * i] = await asyncio.open_connection(address, port)
        except OSError as error:
            why = f"failed to connect to {address}:{port} inside the pod: {error}"
            await socket.send_bytes(bytes([2 * i + 1]) + why.encode())
            continue
        tasks.append(asyncio.create_task(_answers(socket, 2 * i, reader)))
    if not tasks:
        await socket.close()
    with suppress(ConnectionError):
        async for message in socket:
            data = message.data.encode() if isinstance(message.data, str) else message.data
            if data and (writer := writers.get(data[0])) is not None:
                writer.write(data[1:])
                await writer.drain()
    for task in tasks:
        task.cancel()
    for writer in writers.values():
        writer.close()
    return socket


async def _answers(socket: web.WebSocketResponse, channel: int, reader: asyncio.StreamReader) -> None:
    with suppress(ConnectionError):
        while piece := await reader.read(_PIECE):
            await socket.send_bytes(bytes([channel]) + piece)
        await socket.close()
