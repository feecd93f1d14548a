"""A learner's server under judgement: whatever goes wrong with it is said as their fault, in one sentence."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from labkit.errors import WorkFault
from labkit.isolation.relay import Relay
from labkit.serving import Endpoint, ScriptServer

ANSWER_SECONDS = 5.0
ANSWER_BYTES = 32 << 20


@dataclass(frozen=True)
class Answer:
    """What the server answered."""

    status: int
    body: bytes
    asked: str

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            WorkFault: It is none.
        """
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            start = self.body[:60].decode(errors="replace")
            raise WorkFault(
                f"{self.asked} answered {self.status} with something that is not JSON: {start!r}."
            ) from error


class Served:
    """The server that `serve.py` in a folder makes, and what it answers."""

    def __init__(self, folder: Path, *, log: Path, environment: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self._server = ScriptServer(log=log, environment=environment)
        self._relay: Relay | None = None
        self.endpoint: Endpoint | None = None

    def start(self) -> Endpoint:
        """Start it.

        Raises:
            WorkFault: It ended, or did not listen.
        """
        self.endpoint = self._server.start(self.folder)
        if self.endpoint.network is not None:
            self._relay = Relay(self.endpoint.network, self.endpoint.port)
        return self.endpoint

    def left(self, name: str) -> bytes | None:
        """What the server wrote into a file of its folder; None if there is no such file."""
        return self._server.left(name)

    def get(self, path: str) -> Answer:
        """`GET path`."""
        return self.request("GET", path)

    def post(self, path: str, value: Any) -> Answer:
        """`POST path` with the value as JSON."""
        return self.request("POST", path, json.dumps(value).encode(), {"content-type": "application/json"})

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request on a connection of its own.

        Raises:
            WorkFault: No whole answer came within `ANSWER_SECONDS`.
        """
        asked = f"{method} {path}"
        try:
            return asyncio.run(self._request(asked, method, path, body, dict(headers or {})))
        except (TimeoutError, httpx.TimeoutException) as error:
            raise WorkFault(
                f"{asked} was not answered within {ANSWER_SECONDS:.0f} s.",
                next_step="Ask it yourself with curl while the server runs.",
            ) from error
        except (httpx.TransportError, httpx.DecodingError) as error:
            if self._server.has_ended(within=1.0):
                raise WorkFault(
                    f"The server ended during {asked}.",
                    why=" ".join(self._server.process.last_lines(1)) if self._server.process else "",
                    next_step="A request, whatever it holds, must not end the server.",
                ) from error
            kind = type(error).__name__
            raise WorkFault(f"{asked} got no proper HTTP answer ({kind}: {error}).") from error

    async def _request(
        self, asked: str, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> Answer:
        """One request under one deadline: a server that drips its answer gains no time by it."""
        assert self.endpoint is not None
        async with (
            asyncio.timeout(ANSWER_SECONDS),
            httpx.AsyncClient(timeout=ANSWER_SECONDS, trust_env=False, transport=self._transport()) as client,
            client.stream(method, self.endpoint.url + path, content=body, headers=headers) as response,
        ):
            moved = response.next_request
            if moved is not None and str(moved.url) == f"{response.url}/" and not path.endswith("/"):
                return await self._request(asked, method, f"{path}/", body, headers)  # as Prometheus does
            received = b""
            async for chunk in response.aiter_bytes():
                received += chunk
                if len(received) > ANSWER_BYTES:
                    raise WorkFault(f"{asked} answered with more than {ANSWER_BYTES >> 20} MiB.")
            return Answer(response.status_code, received, asked)

    def _transport(self) -> httpx.AsyncHTTPTransport | None:
        """How to reach a server that is in a network of its own."""
        return httpx.AsyncHTTPTransport(uds=str(self._relay.path)) if self._relay else None

    def __enter__(self) -> Served:
        """Nothing happens yet: `start` starts it."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the server."""
        if self._relay is not None:
            self._relay.close()
            self._relay = None
        self._server.close()
