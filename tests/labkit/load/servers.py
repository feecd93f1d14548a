"""Small loopback servers that behave, and misbehave, in known ways."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

Handler = Callable[["Exchange"], Awaitable[None]]


class Exchange:
    """One request on one connection, and the means to answer it."""

    def __init__(self, number: int, head: bytes, body: bytes, writer: asyncio.StreamWriter) -> None:
        self.number = number
        self.head = head
        self.body = body
        self._writer = writer

    @property
    def path(self) -> str:
        return self.head.split(b" ", 2)[1].decode()

    @property
    def method(self) -> str:
        return self.head.split(b" ", 1)[0].decode()

    async def raw(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def answer(self, status: int = 200, body: bytes = b"ok", **headers: str) -> None:
        lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        await self.raw("\r\n".join([*lines, "", ""]).encode() + body)

    def close(self) -> None:
        self._writer.close()


class Server:
    """An asyncio server on a thread of its own; it can die and come back on the same port."""

    def __init__(self, handler: Handler, tls: object = None) -> None:
        self.requests = 0
        self.port = 0
        self._handler = handler
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def start(self) -> None:
        self._thread.start()
        self.revive()

    def revive(self) -> None:
        self._run(self._listen())

    def die(self) -> None:
        self._run(self._stop())

    def stop(self) -> None:
        self.die()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Awaitable[None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, ssl=self._tls, backlog=512
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._tasks.add(task)
        try:
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                length = 0
                for line in head.lower().split(b"\r\n"):
                    if line.startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                body = await reader.readexactly(length)
                self.requests += 1
                await self._handler(Exchange(self.requests, head, body, writer))
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            with suppress(OSError):
                writer.transport.abort()


@contextmanager
def serving(handler: Handler, tls: object = None) -> Iterator[Server]:
    server = Server(handler, tls)
    server.start()
    try:
        yield server
    finally:
        server.stop()


async def well_behaved(exchange: Exchange) -> None:
    await exchange.answer(body=b"ok:" + exchange.body)


async def in_pieces(exchange: Exchange) -> None:
    for piece in (b"HTTP/1.1 200 OK\r\nContent-", b"Length: 4\r", b"\n\r\no", b"k", b"ok"):
        await exchange.raw(piece)
        await asyncio.sleep(0.002)


async def chunked(exchange: Exchange) -> None:
    await exchange.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")


async def until_closed(exchange: Exchange) -> None:
    await exchange.raw(b"HTTP/1.1 200 OK\r\n\r\nok")
    exchange.close()


async def too_short(exchange: Exchange) -> None:
    await exchange.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nok")
    exchange.close()


async def too_long(exchange: Exchange) -> None:
    await exchange.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more")


async def closes_in_the_middle(exchange: Exchange) -> None:
    await exchange.raw(b"HTTP/1.1 200 OK\r\nContent-Le")
    exchange.close()


async def closes_at_once(exchange: Exchange) -> None:
    exchange.close()


async def says_nothing(exchange: Exchange) -> None:
    await asyncio.sleep(60)


async def no_http(exchange: Exchange) -> None:
    await exchange.raw(b"220 mail.example ESMTP\r\n")


async def redirects(exchange: Exchange) -> None:
    await exchange.answer(307, b"", Location="/elsewhere")


async def too_many(exchange: Exchange) -> None:
    await exchange.answer(429, b"slow down", Retry_After="2")


async def overloaded(exchange: Exchange) -> None:
    await exchange.answer(503, b"later", Retry_After="5")


async def continues(exchange: Exchange) -> None:
    await exchange.raw(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
    await exchange.answer()


def certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 and its key, made with openssl."""
    import subprocess

    cert, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += [
        "-subj",
        "/CN=127.0.0.1",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-keyout",
        str(key),
        "-out",
        str(cert),
    ]
    subprocess.run(command, check=True, capture_output=True)
    return cert, key
