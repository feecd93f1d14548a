"""What to send and what to expect: request kinds, and the clients that speak HTTP or gRPC."""

from __future__ import annotations

import base64
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from labkit.errors import WorkbookError

if TYPE_CHECKING:
    from labkit.load.transport import Ledger, Transport

Check = Callable[[bytes, bytes], bool]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of request within a load.

    A kind has either a share of the schedule's arrivals or a rate of its own beside it (a probe, such as
    `GET /health` twenty times a second). One kind alone may leave both out.

    Attributes:
        name: How the kind is called in the recording.
        share: Its part of the scheduled requests, 0 to 1; the shares of a load add up to 1.
        rate: Requests per second of a probe, evenly spaced, not counted in the schedule's rate.
        method: The HTTP method; gRPC ignores it.
        path: HTTP: a path that replaces that of the client's URL, or nothing to keep it. gRPC: the full
            method name, `/package.Service/Method`.
        bodies: Request bodies, taken in turn. gRPC: serialised messages.
        headers: Further HTTP headers, or gRPC metadata.
        expected: Statuses that are right: HTTP status codes (200 alone by default), or gRPC codes (0).
        check: `check(request body, response body)` says whether an answer with an expected status is right;
            it runs after the load, in the caller's process, once for each distinct pair. One that raises
            has found the answer wrong.
        timeout: Seconds from the intended send time after which a request without its whole answer is a miss.
    """

    name: str
    share: float | None = None
    rate: float | None = None
    method: str = "GET"
    path: str = ""
    bodies: Sequence[bytes] = (b"",)
    headers: Mapping[str, str] = field(default_factory=dict)
    expected: Sequence[int] | None = None
    check: Check | None = None
    timeout: float = 10.0

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        if not self.bodies:
            raise WorkbookError(
                f"The request kind {self.name!r} has no bodies.",
                next_step="Give at least one body; b'' is an empty one.",
            )
        if self.share is not None and self.rate is not None:
            raise WorkbookError(
                f"The request kind {self.name!r} has a share and a rate.",
                why="A share is of the schedule's requests; a rate is that of a probe beside them.",
                next_step="Give one of the two.",
            )
        if self.timeout <= 0 or not math.isfinite(self.timeout):
            raise WorkbookError(
                f"A time-out of {self.timeout} s for {self.name!r} can't be kept.",
                next_step="Give a number of seconds above zero.",
            )
        if any(sign in part for part in (self.method, self.path, *self.headers) for sign in "\r\n "):
            raise WorkbookError(
                f"The method, path or headers of {self.name!r} hold a space or a line break.",
                next_step="Percent-encode the path and give headers as name and value.",
            )

    def plain(self, default_expected: Sequence[int]) -> dict[str, Any]:
        """What the load process needs, as JSON values. The check stays with the caller."""
        return {
            "name": self.name,
            "share": self.share,
            "rate": self.rate,
            "method": self.method,
            "path": self.path,
            "bodies": [base64.b64encode(body).decode("ascii") for body in self.bodies],
            "headers": dict(self.headers),
            "expected": list(default_expected if self.expected is None else self.expected),
            "keep_answers": self.check is not None,
            "timeout": self.timeout,
        }


class Client(ABC):
    """Says what a load sends and to whom; `labkit.load.run` sends it.

    Args:
        url: The server.
        kinds: The request kinds; one alone by default (`GET` of the URL itself).

    Raises:
        WorkbookError: If the URL can't be used, or if names repeat or shares don't add up to 1.
    """

    protocol: ClassVar[str]
    schemes: ClassVar[tuple[str, ...]]
    default_expected: ClassVar[tuple[int, ...]]

    def __init__(self, url: str, kinds: Sequence[Kind] = (Kind(name="requests"),)) -> None:
        self.url = checked_url(url, self.schemes)
        self.kinds = tuple(kinds)
        self._check_mix()

    def _check_mix(self) -> None:
        names = [kind.name for kind in self.kinds]
        if len(set(names)) < len(names) or not names:
            raise WorkbookError(
                f"A load needs request kinds of different names, not {names}.",
                next_step="Give each kind a name of its own.",
            )
        total = sum(self.shares)
        if not math.isclose(total, 1.0, abs_tol=1e-6) or min(self.shares) < 0:
            raise WorkbookError(
                f"The shares of the request kinds add up to {total:g}, not to 1.",
                next_step="Give shares that add up to 1, and a rate to each probe beside them.",
            )

    @property
    def shares(self) -> tuple[float, ...]:
        """The part of the scheduled requests that each kind has; 0 for a probe."""
        if len(self.kinds) == 1 and self.kinds[0].rate is None:
            return (1.0 if self.kinds[0].share is None else self.kinds[0].share,)
        return tuple(kind.share or 0.0 for kind in self.kinds)

    def plain(self) -> dict[str, Any]:
        """What the load process needs, as JSON values."""
        return {
            "protocol": self.protocol,
            "url": self.url,
            "options": self.options(),
            "kinds": [kind.plain(self.default_expected) for kind in self.kinds],
        }

    @abstractmethod
    def options(self) -> dict[str, Any]:
        """The arguments of the transport beside URL and kinds, as JSON values."""


class HttpClient(Client):
    """HTTP/1.1 over kept-alive connections, opened as they are needed; redirects are not followed.

    Args:
        url: `http://host:port/path` or `https://...`.
        kinds: The request kinds; one alone by default (`GET` of the URL itself).
        connections: The most connections at a time; requests beyond wait, and their waiting counts.
        verify: Whether the certificate of an https server must be trusted.
    """

    protocol = "http"
    schemes = ("http", "https")
    default_expected = (200,)

    def __init__(
        self,
        url: str,
        kinds: Sequence[Kind] = (Kind(name="requests"),),
        *,
        connections: int = 1000,
        verify: bool = True,
    ) -> None:
        self.connections = connections
        self.verify = verify
        super().__init__(url, kinds)

    def options(self) -> dict[str, Any]:
        """Connections and verification."""
        return {"connections": self.connections, "verify": self.verify}


class GrpcClient(Client):
    """Unary gRPC calls over a few plain-text channels; bodies are serialised messages.

    Args:
        url: `grpc://host:port`.
        kinds: The request kinds, each with its full method name as path.
        channels: How many HTTP/2 connections the calls are spread over.
    """

    protocol = "grpc"
    schemes = ("grpc",)
    default_expected = (0,)

    def __init__(self, url: str, kinds: Sequence[Kind], *, channels: int = 4) -> None:
        self.channels = channels
        super().__init__(url, kinds)

    def options(self) -> dict[str, Any]:
        """The number of channels."""
        return {"channels": self.channels}


def checked_url(url: str, schemes: Sequence[str]) -> str:
    """The URL itself, if it names one of these schemes, a host and, where given, a port.

    Raises:
        WorkbookError: If it doesn't.
    """
    example = {"grpc": "grpc://127.0.0.1:50051"}.get(schemes[0], "http://127.0.0.1:8000/predict")
    try:
        parts = urlsplit(url)
        usable = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or any(sign.isspace() for sign in url):
        raise WorkbookError(
            f"{url!r} is no address to send {schemes[0]} requests to.",
            next_step=f"Give one such as {example}.",
        )
    return url


def open_transport(plan: Mapping[str, Any], ledger: Ledger) -> Transport:
    """The transport that a client's `plain()` form asks for, within the load process."""
    if plan["protocol"] == "grpc":
        from labkit.load.grpc_transport import GrpcTransport

        return GrpcTransport(plan["url"], plan["kinds"], ledger, **plan["options"])
    from labkit.load.http_transport import HttpTransport

    return HttpTransport(plan["url"], plan["kinds"], ledger, **plan["options"])
