"""SPDY/3.1 as far as kubectl speaks it: streams with headers, data both ways, pings.

It comes raw after a 101, or as the messages of a WebSocket. The framing is that of the SPDY protocol, draft 3.1;
`data/spdy_dictionary.bin` is the dictionary that the draft prescribes for headers.
"""

from __future__ import annotations

import asyncio
import struct
import zlib
from collections.abc import Awaitable, Callable
from importlib.resources import files

DICTIONARY = files("labkit.clusters.embedded.data").joinpath("spdy_dictionary.bin").read_bytes()
_SYN_STREAM, _SYN_REPLY, _RST_STREAM, _PING, _GOAWAY = 1, 2, 3, 6, 7
_HEADER, _FIN, _CONTROL, _ID = 8, 1, 0x80, 0x7FFFFFFF
MOST_BYTES = 1 << 20
"""The longest frame that is taken from a client."""


class Stream:
    """One stream that the client opened.

    Attributes:
        number: Its number.
        headers: What the client said it is for.
    """

    def __init__(self, connection: Connection, number: int, headers: dict[str, str]) -> None:
        self._connection, self.number, self.headers = connection, number, headers
        self.received: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def read(self) -> bytes | None:
        """The next data; None at their end."""
        return await self.received.get()

    async def write(self, data: bytes) -> None:
        """Send data."""
        await self._connection.send(self.number, data)

    async def end(self, data: bytes = b"") -> None:
        """Send the last data."""
        await self._connection.send(self.number, data, last=True)


class Connection:
    """The server's side of one connection.

    Args:
        write: Sends bytes to the client.
        opened: Told of each stream as the client opens it.
    """

    def __init__(self, write: Callable[[bytes], Awaitable[None]], opened: Callable[[Stream], None]) -> None:
        self._write, self._opened = write, opened
        self._buffer = b""
        self._streams: dict[int, Stream] = {}
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)
        self._deflate = zlib.compressobj(zdict=DICTIONARY)

    async def feed(self, data: bytes) -> None:
        """Take what came from the client.

        Raises:
            ValueError: It is not SPDY.
        """
        self._buffer += data
        while len(self._buffer) >= _HEADER:
            length = int.from_bytes(self._buffer[5:8], "big")
            if length > MOST_BYTES:
                raise ValueError("a frame is too long")
            if len(self._buffer) < _HEADER + length:
                return
            head, body = self._buffer[:_HEADER], self._buffer[_HEADER : _HEADER + length]
            self._buffer = self._buffer[_HEADER + length :]
            if head[0] & _CONTROL:
                await self._control(head, body)
            elif stream := self._streams.get(int.from_bytes(head[:4], "big")):
                if body:
                    stream.received.put_nowait(body)
                if head[4] & _FIN:
                    stream.received.put_nowait(None)

    async def send(self, number: int, data: bytes, *, last: bool = False) -> None:
        """Send data on a stream."""
        head = number.to_bytes(4, "big") + bytes([_FIN if last else 0]) + len(data).to_bytes(3, "big")
        await self._write(head + data)

    def lost(self) -> None:
        """The client is gone: every stream is at its end."""
        for stream in self._streams.values():
            stream.received.put_nowait(None)

    async def _control(self, head: bytes, body: bytes) -> None:
        kind = int.from_bytes(head[2:4], "big")
        if kind == _SYN_STREAM:
            number = int.from_bytes(body[:4], "big") & _ID
            stream = self._streams[number] = Stream(self, number, self._headers(body[10:]))
            block = self._deflate.compress(struct.pack(">I", 0)) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
            reply = bytes([_CONTROL, 3, 0, _SYN_REPLY, 0]) + (4 + len(block)).to_bytes(3, "big")
            await self._write(reply + number.to_bytes(4, "big") + block)
            if head[4] & _FIN:
                stream.received.put_nowait(None)
            self._opened(stream)
        elif kind == _PING:
            await self._write(head + body)
        elif kind == _RST_STREAM and (
            stream_gone := self._streams.pop(int.from_bytes(body[:4], "big"), None)
        ):
            stream_gone.received.put_nowait(None)
        elif kind == _GOAWAY:
            self.lost()

    def _headers(self, block: bytes) -> dict[str, str]:
        try:
            plain = self._inflate.decompress(block, MOST_BYTES)
            (count,), at, found = struct.unpack_from(">I", plain), 4, {}
            for _ in range(count):
                words = []
                for _ in range(2):
                    (length,) = struct.unpack_from(">I", plain, at)
                    words.append(plain[at + 4 : at + 4 + length].decode())
                    at += 4 + length
                found[words[0].lower()] = words[1]
        except (zlib.error, struct.error, UnicodeDecodeError) as error:
            raise ValueError(f"headers that can't be read: {error}") from error
        return found
