"""The way from a platform's machines to their bucket: it notes every request, and can lose one on purpose.

Each machine has a link of its own, a socket in that machine's network on which the gateway answers; it passes
requests for one bucket on to an S3 server and refuses all others. So what a machine did is known from
outside, and a fault falls between two requests exactly where a drill wants it.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import unquote

import aiohttp
from aiohttp import web
from yarl import URL

from labkit.storage.store import client

MOST_BYTES = 64 << 20
_HOP_BY_HOP = frozenset(
    ("connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect", "content-length")
)
_T = TypeVar("_T")


@dataclass(frozen=True)
class Request:
    """What a machine asks: its name, the method, and the key below the bucket ("" for the bucket itself)."""

    machine: str
    method: str
    key: str


@dataclass(frozen=True)
class Access:
    """A request and what became of it.

    Attributes:
        seconds: When it came, since the gateway was made.
        request: What was asked.
        status: What was answered; 0 if no answer came.
    """

    seconds: float
    request: Request
    status: int


class Fault(Enum):
    """What can happen to a request on its way."""

    LOST = "lost"
    """It never reached the store."""
    UNANSWERED = "unanswered"
    """The store did what was asked, and the answer was lost."""


Hook = Callable[[Request], Fault | None]


class Gateway:
    """A running gateway to one bucket, which is made if it is not there.

    Args:
        url: Where the S3 server answers.
        bucket: The one bucket that is in reach.
    """

    def __init__(self, url: str, bucket: str) -> None:
        self.bucket = bucket
        self.accesses: list[Access] = []
        self.hooks: dict[str, Hook] = {}
        """By machine: asked, in a thread, before each of its requests is passed on."""
        self.read_seconds = 0.0
        """How long each read takes longer: a store in another region. It widens races."""
        self._url = url
        self._links: list[Link] = []
        self._turns: dict[str, asyncio.Lock] = {}
        self._begun = time.monotonic()
        with suppress(client(url).exceptions.BucketAlreadyOwnedByYou):
            client(url).create_bucket(Bucket=bucket)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="gateway")
        self._thread.start()
        self._session: aiohttp.ClientSession = self._run(_open())

    @property
    def seconds(self) -> float:
        """Since it was made; the clock of `accesses`."""
        return time.monotonic() - self._begun

    @property
    def direct(self) -> Any:
        """A boto3 client of the server itself, past the gateway, for whoever looks or tampers."""
        return client(self._url)

    def open(self, listening: socket.socket, machine: str) -> Link:
        """Answer on a socket that listens, for the machine of that name."""
        link = Link(self, self._run(self._serve(listening, machine)))
        self._links.append(link)
        return link

    def close(self) -> None:
        """Cut every link, and stop it."""
        for link in self._links:
            link.close()
        self._run(self._session.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)
        self._loop.close()

    def __enter__(self) -> Gateway:
        """It runs already."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop it."""
        self.close()

    def _run(self, work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=30)

    async def _serve(self, listening: socket.socket, machine: str) -> web.AppRunner:
        async def answer(request: web.Request) -> web.StreamResponse:
            return await self._answer(machine, request)

        app = web.Application(client_max_size=MOST_BYTES)
        app.router.add_route("*", "/{path:.*}", answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.SockSite(runner, listening, backlog=256).start()
        return runner

    async def _answer(self, machine: str, incoming: web.Request) -> web.StreamResponse:
        begun = self.seconds
        bucket, _, key = unquote(incoming.raw_path.partition("?")[0]).lstrip("/").partition("/")
        if bucket != self.bucket:
            return web.Response(status=403, text="This machine has one bucket.")
        request = Request(machine, incoming.method, key)
        body = await incoming.read()
        status = 0
        try:
            hook = self.hooks.get(machine)
            fault = await asyncio.to_thread(hook, request) if hook is not None else None
            if fault is Fault.LOST:
                return _lose(incoming)
            if self.read_seconds and incoming.method == "GET":
                await asyncio.sleep(self.read_seconds)
            try:
                async with self._turn(request, incoming):
                    answer = await self._pass_on(incoming, body)
            except (aiohttp.ClientError, TimeoutError):
                return _lose(incoming)
            if fault is Fault.UNANSWERED:
                return _lose(incoming)
            status = answer.status
            return answer
        finally:
            self.accesses.append(Access(begun, request, status))

    def _turn(self, request: Request, incoming: web.Request) -> AbstractAsyncContextManager[Any]:
        """Conditional writes of one key are handed on one after another.

        Which of them holds is the store's decision alone; but SeaweedFS 4.48 makes those that come at once
        wait for each other by the second.
        """
        if not {"If-Match", "If-None-Match"} & set(incoming.headers) or request.method != "PUT":
            return nullcontext()
        return self._turns.setdefault(request.key, asyncio.Lock())

    async def _pass_on(self, incoming: web.Request, body: bytes) -> web.Response:
        headers = {name: value for name, value in incoming.headers.items() if name.lower() not in _HOP_BY_HOP}
        async with self._session.request(
            incoming.method,
            URL(self._url + incoming.raw_path, encoded=True),
            data=body or None,
            headers=headers,
            allow_redirects=False,
        ) as answer:
            content = await answer.read()
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP}
            if incoming.method == "HEAD" and "Content-Length" in answer.headers:
                kept["Content-Length"] = answer.headers["Content-Length"]
            return web.Response(status=answer.status, headers=kept, body=content)


class Link:
    """A machine's connection to the gateway.

    Args:
        gateway: Which.
        runner: What answers on the machine's socket.
    """

    def __init__(self, gateway: Gateway, runner: web.AppRunner) -> None:
        self._gateway = gateway
        self._runner: web.AppRunner | None = runner

    def close(self) -> None:
        """Cut it: the socket is closed, and every connection over it ends."""
        if self._runner is not None:
            self._gateway._run(self._runner.cleanup())
            self._runner = None


async def _open() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        auto_decompress=False,
        connector=aiohttp.TCPConnector(limit=128),
        timeout=aiohttp.ClientTimeout(total=20),
    )


def _lose(incoming: web.Request) -> web.Response:
    """Cut the connection, so that no answer comes."""
    if incoming.transport is not None:
        incoming.transport.abort()
    return web.Response(status=503)
