"""The process behind a `Relay`: it takes connections on a socket and passes them on to a port."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

_CHUNK = 65536


async def _serve(listening: socket.socket, port: int) -> None:
    async def passed_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            from_server, to_server = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.transport.abort()
            return
        towards = asyncio.create_task(_copy(reader, to_server))
        try:
            await _copy(from_server, writer)
        finally:
            towards.cancel()
            with suppress(asyncio.CancelledError, OSError):
                await towards
            for end in (writer, to_server):
                end.close()

    serve = asyncio.start_unix_server if listening.family == socket.AF_UNIX else asyncio.start_server
    async with await serve(passed_on, sock=listening) as server:
        await server.serve_forever()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()


def main(listening: int, port: int) -> None:
    """Pass on every connection until this process is ended."""
    asyncio.run(_serve(socket.socket(fileno=listening), port))
