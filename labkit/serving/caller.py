"""Asks a started server one thing at a time, wherever its network is; loads are sent by `labkit.load`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import grpc
import httpx

from labkit.isolation.relay import Relay
from labkit.serving.base import Endpoint
from labkit.serving.deployment import Signature
from labkit.serving.protocols import Dialect
from labkit.serving.protocols.dialects import Rows

MOST_BYTES = 64 << 20


@dataclass(frozen=True)
class Answer:
    """What came back.

    Attributes:
        status: The HTTP status or the gRPC code's number; 0 is gRPC's OK.
        right: Whether the status says that all went well.
        theirs: Whether it says that the request was wrong (4xx, INVALID_ARGUMENT).
        body: The answer itself; of a failed gRPC call, its details.
    """

    status: int
    right: bool
    theirs: bool
    body: bytes


class NoAnswer(Exception):
    """No predictions came back.

    Attributes:
        spoken: Whether anything did: an error of the server's. Else it was out of time, or not connected.
    """

    def __init__(self, what: str, *, spoken: bool = False) -> None:
        super().__init__(what)
        self.spoken = spoken


class Caller:
    """A client for single requests.

    Args:
        endpoint: The server.
        dialect: How it is asked.
        signature: What its model takes.
    """

    def __init__(self, endpoint: Endpoint, dialect: Dialect, signature: Signature) -> None:
        self._endpoint = endpoint
        self._dialect = dialect
        self._signature = signature
        self._relay = Relay(endpoint.network, endpoint.port) if endpoint.network else None
        self._channel: grpc.Channel | None = None
        self._client: httpx.Client | None = None

    def predict(self, rows: Rows, seconds: float = 10.0) -> Rows:
        """The answers to rows `(n, width)`.

        Raises:
            NoAnswer: None came, or one that is none.
        """
        answer = self.send(self._dialect.encode(rows, self._signature), seconds)
        if not answer.right:
            said = answer.body[:200].decode(errors="replace")
            raise NoAnswer(f"the answer was {answer.status}: {said}", spoken=True)
        try:
            return self._dialect.decode(answer.body)
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise NoAnswer(f"the answer holds no predictions: {error}", spoken=True) from error

    def send(self, body: bytes, seconds: float = 10.0, headers: Mapping[str, str] | None = None) -> Answer:
        """Send a body as it is.

        Raises:
            NoAnswer: Nothing came back in time, or the connection broke.
        """
        if self._dialect.transport == "grpc":
            return self._send_grpc(body, seconds)
        if self._client is None:
            transport = httpx.HTTPTransport(uds=str(self._relay.path)) if self._relay else None
            self._client = httpx.Client(transport=transport, trust_env=False, verify=False)  # noqa: S501 (plain HTTP)
        headers = headers or {"content-type": "application/json"}
        url = self._endpoint.url + self._dialect.path
        try:
            answer = self._client.post(url, content=body, headers=headers, timeout=seconds)
        except httpx.HTTPError as error:
            raise NoAnswer(f"{type(error).__name__}: {error}") from error
        status = answer.status_code
        return Answer(status, status == 200, 400 <= status < 500, answer.content)

    def _send_grpc(self, body: bytes, seconds: float) -> Answer:
        if self._channel is None:
            target = f"unix:{self._relay.path}" if self._relay else f"127.0.0.1:{self._endpoint.port}"
            options = [("grpc.max_receive_message_length", MOST_BYTES), ("grpc.enable_http_proxy", 0)]
            # The wait between two attempts to connect grows to minutes by default.
            options += [("grpc.max_reconnect_backoff_ms", 200), ("grpc.initial_reconnect_backoff_ms", 50)]
            self._channel = grpc.insecure_channel(target, options=options)
        try:
            received: Any = self._channel.unary_unary(self._dialect.path)(body, timeout=seconds)
        except grpc.RpcError as error:
            code = error.code()
            if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                raise NoAnswer(f"{code.name}: {error.details()}") from error
            details = (error.details() or "").encode()
            return Answer(code.value[0], False, code is grpc.StatusCode.INVALID_ARGUMENT, details)
        return Answer(0, True, False, received)

    def close(self) -> None:
        """Let go of the connection."""
        if self._channel is not None:
            self._channel.close()
        if self._client is not None:
            self._client.close()
        if self._relay is not None:
            self._relay.close()

    def __enter__(self) -> Caller:
        """It connects when it first asks."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of the connection."""
        self.close()
