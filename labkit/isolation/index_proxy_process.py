"""The process behind an `IndexProxy`: it reads the head of each request and passes on what may go out."""

from __future__ import annotations

import asyncio
import re
import socket
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from labkit.isolation import syscalls

PORT = 3128
_HEAD_BYTES = 16 << 10
_CHUNK = 65536
_SECONDS = 30.0
_REFUSED = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_CONNECTED = b"HTTP/1.1 200 Connection established\r\n\r\n"


@dataclass(frozen=True)
class Proxy:
    """What the process does with connections."""

    hosts: frozenset[str]
    upstream: tuple[str, int] | None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection from its first byte to its last."""
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _SECONDS)
            place, first = understand(head)
            if place not in self.hosts:
                print(f"refused {place[:200]!a}", flush=True)
                writer.write(_REFUSED)
                await writer.drain()
            else:
                await self._pass_on(place, first, head, reader, writer)
        writer.close()

    async def _pass_on(
        self,
        place: str,
        first: bytes,
        head: bytes,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        host, _, port = place.rpartition(":")
        target = self.upstream or (host, int(port))
        from_index, to_index = await asyncio.wait_for(asyncio.open_connection(*target), _SECONDS)
        try:
            if self.upstream is not None:
                to_index.write(head)
            elif first:
                to_index.write(first)
            else:
                writer.write(_CONNECTED)
            towards = asyncio.create_task(_copy(reader, to_index))
            await _copy(from_index, writer)
            towards.cancel()
        finally:
            to_index.close()


def understand(head: bytes) -> tuple[str, bytes]:
    """Where a request wants to go, `host:port`, and what the host itself is to be asked.

    The second is empty for CONNECT; the first for what is no request to a proxy.
    """
    line, _, rest = head.decode("latin-1").partition("\r\n")
    method, _, more = line.partition(" ")
    target = more.partition(" ")[0]
    if method == "CONNECT":
        return target.lower(), b""
    place = place_of(target)
    parts = urlsplit(target)
    path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
    # One request a connection: a second one could name another host.
    kept = re.sub(r"(?im)^(proxy-)?connection:[^\r\n]*\r\n", "", rest)
    return place, f"{method} {path} HTTP/1.1\r\nConnection: close\r\n{kept}".encode("latin-1")


def place_of(url: str) -> str:
    """The `host:port` of an http or https URL; empty if it is none."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return ""
    return f"{parts.hostname}:{port or (443 if parts.scheme == 'https' else 80)}"


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()


def main(handle: int, upstream: str, hosts: list[str]) -> None:
    """Listen in that network, connect from this one, until the process is ended."""
    with open("/proc/self/ns/net") as ours:  # noqa: PTH123 (a descriptor is wanted)
        syscalls.enter(handle, syscalls.NEW_NETWORK)
        listening = socket.create_server(("0.0.0.0", PORT))  # noqa: S104 (a network without a way out)
        syscalls.enter(ours.fileno(), syscalls.NEW_NETWORK)
    parts = urlsplit(upstream)
    through = (parts.hostname, parts.port or 80) if parts.hostname else None
    proxy = Proxy(frozenset(hosts), through)

    async def run() -> None:
        async with await asyncio.start_server(proxy.serve, sock=listening, limit=_HEAD_BYTES) as server:
            await server.serve_forever()

    asyncio.run(run())
