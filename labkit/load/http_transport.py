"""HTTP/1.1 for the load generator: raw protocols and httptools, so that one core can send thousands."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, cast
from urllib.parse import SplitResult, urlsplit

import httptools

from labkit.load.outcomes import Outcome
from labkit.load.transport import Ledger

# Servers close connections that stay idle (uvicorn after 5 s): one that has been idle for long is not
# trusted with a request.
LONGEST_IDLE_NS = 3_000_000_000
NO_REQUEST = -1


class HttpTransport:
    """A pool of kept-alive connections, opened as requests need them.

    Args:
        url: The client's URL.
        kinds: The plain form of the request kinds.
        ledger: Where sending and answers are noted.
        connections: The most connections at a time.
        verify: Whether an https server's certificate must be trusted.
    """

    def __init__(
        self, url: str, kinds: Sequence[Mapping[str, Any]], ledger: Ledger, *, connections: int, verify: bool
    ) -> None:
        self.ledger = ledger
        self.expected = [frozenset(kind["expected"]) for kind in kinds]
        self.heads_only = [kind["method"].upper() == "HEAD" for kind in kinds]
        self._address = urlsplit(url)
        self._messages = [request_messages(self._address, kind) for kind in kinds]
        self._timeouts = [round(kind["timeout"] * 1e9) for kind in kinds]
        self._most = connections
        self._tls = tls_context(verify) if self._address.scheme == "https" else None
        self._idle: list[Connection] = []
        self._waiting: deque[int] = deque()
        self._in_flight: dict[int, Connection | None] = {}
        self._open: set[Connection] = set()
        self._connecting: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Nothing: connections are opened by the requests that need them."""

    def send(self, index: int) -> None:
        """Send on the connection that was used last, or have one opened."""
        now = self.ledger.now()
        self._in_flight[index] = None
        while self._idle:
            connection = self._idle.pop()
            if now - connection.idle_since < LONGEST_IDLE_NS:
                self._send_on(connection, index)
                return
            connection.abort()
        self._waiting.append(index)
        self._open_more()

    def _open_more(self) -> None:
        """Have a connection on its way for every request that waits, as far as the pool allows."""
        room = self._most - len(self._open) - len(self._connecting)
        for _ in range(min(len(self._waiting) - len(self._connecting), room)):
            task = asyncio.get_running_loop().create_task(self._connect())
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        port = self._address.port or (443 if self._tls else 80)
        try:
            await loop.create_connection(
                lambda: Connection(self), str(self._address.hostname), port, ssl=self._tls
            )
        except (OSError, ssl.SSLError):
            index = self._next_waiting()
            if index != NO_REQUEST:
                self.ended(index, Outcome.REFUSED)

    def ready(self, connection: Connection) -> None:
        """A connection is free: the request that has waited longest gets it."""
        index = self._next_waiting()
        if index == NO_REQUEST:
            connection.idle_since = self.ledger.now()
            self._idle.append(connection)
        else:
            self._send_on(connection, index)

    def _next_waiting(self) -> int:
        while self._waiting:
            index = self._waiting.popleft()
            if index in self._in_flight:
                return index
        return NO_REQUEST

    def _send_on(self, connection: Connection, index: int) -> None:
        ledger = self.ledger
        message = self._messages[ledger.kind[index]][ledger.request[index]]
        self._in_flight[index] = connection
        connection.send(index, message)
        ledger.sent[index] = ledger.now()
        ledger.sent_bytes[index] = len(message)

    def ended(self, index: int, outcome: Outcome, status: int = 0, body: bytes | None = None) -> None:
        """Note how a request ended."""
        if self._in_flight.pop(index, False) is not False:
            self.ledger.finish(index, outcome, status, body)

    def opened(self, connection: Connection) -> None:
        """Count a new connection."""
        self._open.add(connection)

    def closed(self, connection: Connection) -> None:
        """Forget a connection, and open another if requests wait for one."""
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._open_more()

    def sweep(self, now: int) -> None:
        """Give up on what is over its time-out."""
        due, kind, timeouts = self.ledger.due, self.ledger.kind, self._timeouts
        late = [index for index in self._in_flight if now - due[index] > timeouts[kind[index]]]
        for index in late:
            connection = self._in_flight[index]
            self.ended(index, Outcome.TIMEOUT)
            if connection is not None:
                connection.abort()

    async def close(self) -> None:
        """Close every connection."""
        self._waiting.clear()
        self._in_flight.clear()
        for task in list(self._connecting):
            task.cancel()
        await asyncio.gather(*self._connecting, return_exceptions=True)
        for connection in list(self._open):
            connection.abort()
        await asyncio.sleep(0)


class Connection(asyncio.Protocol):
    """One connection with at most one request on its way."""

    __slots__ = (
        "_body",
        "_by_length",
        "_complete",
        "_headed",
        "_index",
        "_last",
        "_lasting",
        "_parser",
        "_pool",
        "_received",
        "_retry_after",
        "_transport",
        "idle_since",
    )

    def __init__(self, pool: HttpTransport) -> None:
        self.idle_since = 0
        self._pool = pool
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._index = NO_REQUEST
        self._last = NO_REQUEST
        self._forget_answer()

    def _forget_answer(self) -> None:
        self._body: list[bytes] = []
        self._received = 0
        self._retry_after = b""
        self._by_length = False
        self._headed = False
        self._complete = False
        self._lasting = False

    def send(self, index: int, message: bytes) -> None:
        """Put one request on the wire."""
        self._index = index
        cast(asyncio.Transport, self._transport).write(message)

    def abort(self) -> None:
        """Close at once; whatever is on its way is lost."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio: the connection stands."""
        self._transport = cast(asyncio.Transport, transport)
        self._pool.opened(self)
        self._pool.ready(self)

    def data_received(self, data: bytes) -> None:
        """Asyncio: a part of an answer, or more than it promised."""
        index = self._index
        if index == NO_REQUEST:
            if self._last != NO_REQUEST:
                self._pool.ledger.spoil(self._last)
            self.abort()
            return
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if self._complete:
                self._finish(reusable=False)
                self._pool.ledger.spoil(index)
            else:
                self._end(Outcome.BROKEN)
            self.abort()
            return
        if self._complete:
            self._finish(reusable=self._lasting)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Httptools: one header."""
        name = name.lower()
        if name == b"retry-after":
            self._retry_after = value
        elif name in (b"content-length", b"transfer-encoding"):
            self._by_length = True

    def on_headers_complete(self) -> None:
        """Httptools: the headers are whole; to HEAD, no body follows them."""
        self._headed = self._parser.get_status_code() >= 200
        kind = self._pool.ledger.kind[self._index]
        if self._headed and self._pool.heads_only[kind]:
            self._complete = True
            self._lasting = True

    def on_body(self, body: bytes) -> None:
        """Httptools: a part of the body."""
        if self._pool.ledger.keeps_answer(self._index):
            self._body.append(body)

    def on_message_complete(self) -> None:
        """Httptools: the answer is whole, unless it only said that one is to come (1xx)."""
        if self._parser.get_status_code() >= 200:
            self._complete = True
            self._lasting = self._parser.should_keep_alive()
        else:
            self._body.clear()
            self._by_length = False

    def _finish(self, *, reusable: bool) -> None:
        """Note a whole answer and make the connection free."""
        index, ledger = self._index, self._pool.ledger
        status = self._parser.get_status_code()
        kind = ledger.kind[index]
        right = status in self._pool.expected[kind]
        if self._retry_after:
            ledger.retry_after[index] = seconds_to_wait(self._retry_after)
        body = b"".join(self._body) if ledger.keeps_answer(index) else None
        if self._pool.heads_only[kind]:
            self._parser = httptools.HttpResponseParser(self)
        self._end(Outcome.OK if right else Outcome.WRONG_STATUS, status, body)
        if reusable and not cast(asyncio.Transport, self._transport).is_closing():
            self._pool.ready(self)
        else:
            self.abort()

    def _end(self, outcome: Outcome, status: int = 0, body: bytes | None = None) -> None:
        self._pool.ledger.received_bytes[self._index] = self._received
        self._last, self._index = self._index, NO_REQUEST
        self._forget_answer()
        self._pool.ended(self._last, outcome, status, body)

    def eof_received(self) -> bool:
        """Asyncio: the server has closed its side, which ends an answer that gave no length."""
        if self._index != NO_REQUEST and self._headed and not self._by_length:
            self._finish(reusable=False)
        return False

    def connection_lost(self, _error: Exception | None) -> None:
        """Asyncio: the connection is gone, and with it what was on its way."""
        if self._index != NO_REQUEST:
            self._end(Outcome.BROKEN)
        self._transport = None
        self._pool.closed(self)


def request_messages(address: SplitResult, kind: Mapping[str, Any]) -> list[bytes]:
    """The whole request, head and body, for each body of a kind."""
    target = kind["path"] or address.path or "/"
    if not kind["path"] and address.query:
        target += f"?{address.query}"
    given = {name.lower() for name in kind["headers"]}
    messages = []
    for encoded in kind["bodies"]:
        body = base64.b64decode(encoded)
        headers = {
            "Host": address.netloc.rpartition("@")[2],
            "Accept": "*/*",
            "User-Agent": "workbook-measure",
        }
        if body or kind["method"].upper() in ("POST", "PUT", "PATCH"):
            headers |= {"Content-Length": str(len(body)), "Content-Type": "application/json"}
        lines = [f"{name}: {value}" for name, value in headers.items() if name.lower() not in given]
        lines += [f"{name}: {value}" for name, value in kind["headers"].items()]
        head = "\r\n".join([f"{kind['method'].upper()} {target} HTTP/1.1", *lines, "", ""])
        messages.append(head.encode("latin-1") + body)
    return messages


def seconds_to_wait(header: bytes) -> float:
    """The seconds of a `Retry-After` header; not a number if it gives a date."""
    try:
        return float(header)
    except ValueError:
        return float("nan")


def tls_context(verify: bool) -> ssl.SSLContext:
    """A client's TLS settings, with or without trust."""
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
