"""One request of each kind before the load: what would spoil the whole run is said at once."""

from __future__ import annotations

import re
import socket
import time
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from labkit.errors import WorkbookError
from labkit.load.clients import Client, GrpcClient, HttpClient, Kind
from labkit.load.http_transport import seconds_to_wait, tls_context

if TYPE_CHECKING:
    import httpx

TRIES = 3
PAUSE_SECONDS = 0.2
HANDSHAKE_SECONDS = 0.5


def preflight(client: Client) -> None:
    """Send each kind once, and again where it failed, up to three times.

    Raises:
        WorkbookError: If a kind is not answered as expected: nothing that a load measured would count.
    """
    for kind in client.kinds:
        give_up = time.monotonic() + kind.timeout
        for left in reversed(range(TRIES)):
            try:
                _once(client, kind)
                break
            except WorkbookError:
                if not left or time.monotonic() > give_up:
                    raise
                time.sleep(PAUSE_SECONDS)


def _once(client: Client, kind: Kind) -> None:
    if isinstance(client, HttpClient):
        _http_once(client, kind)
    elif isinstance(client, GrpcClient):
        _grpc_once(client, kind)


def _http_once(client: HttpClient, kind: Kind) -> None:
    import httpx  # here, so that the load process starts without it

    url = urljoin(client.url, kind.path) if kind.path else client.url
    headers = {"User-Agent": "workbook-measure"} | dict(kind.headers)
    if kind.bodies[0] and not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = "application/json"
    try:
        response = httpx.request(
            kind.method,
            url,
            content=kind.bodies[0],
            headers=headers,
            timeout=kind.timeout,
            verify=client.verify,
            trust_env=False,
        )
    except httpx.TimeoutException:
        if url.startswith("https://") and not _speaks_tls(url):
            raise _no_tls(url, "the handshake came to nothing") from None
        raise WorkbookError(
            f"{url} did not answer within {kind.timeout:g} s.",
            why="The connection stands or was not refused, but no whole answer came.",
            next_step="See whether the server is busy or still starting, or give a longer --timeout.",
        ) from None
    except httpx.ConnectError as error:
        raise _no_connection(url, error) from None
    except httpx.TransportError as error:
        raise _broken(url, error) from None
    _expect(client, kind, url, response)


def _no_connection(url: str, error: Exception) -> WorkbookError:
    words = str(error)
    if "CERTIFICATE" in words.upper():
        return WorkbookError(
            f"The certificate of {url} is not trusted here.",
            why=_short(words),
            next_step="Trust its issuer (SSL_CERT_FILE), or measure with --insecure.",
        )
    if "SSL" in words.upper() or "TLS" in words.upper():
        return _no_tls(url, words)
    if "Name or service" in words or "getaddrinfo" in words or "name resolution" in words:
        return WorkbookError(
            f"There is no host of the name in {url}.", next_step="Look at the address for a slip."
        )
    return WorkbookError(
        f"Nothing answers at {url}.",
        why=f"{_short(words)}.",
        next_step="Start the server, or look at host and port.",
    )


def _no_tls(url: str, why: str) -> WorkbookError:
    return WorkbookError(
        f"{url} does not speak TLS.",
        why=f"{_short(why)}.",
        next_step=f"Try {url.replace('https://', 'http://', 1)}.",
    )


def _broken(url: str, error: Exception) -> WorkbookError:
    if url.startswith("http://") and _speaks_tls(url):
        return WorkbookError(
            f"{url} speaks TLS.",
            why="It does not answer plain HTTP.",
            next_step=f"Measure {url.replace('http://', 'https://', 1)}.",
        )
    return WorkbookError(
        f"{url} broke off its answer.",
        why=f"{_short(str(error))}.",
        next_step="Look at the server's log: it closes connections early or sends a wrong Content-Length.",
    )


def _speaks_tls(url: str) -> bool:
    """Whether a TLS handshake with this address comes about."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        with (
            socket.create_connection((str(parts.hostname), port), timeout=HANDSHAKE_SECONDS) as connection,
            tls_context(verify=False).wrap_socket(connection),
        ):
            return True
    except OSError:
        return False


def _expect(client: HttpClient, kind: Kind, url: str, response: httpx.Response) -> None:
    expected = client.default_expected if kind.expected is None else tuple(kind.expected)
    status = response.status_code
    if status in expected:
        return
    if response.is_redirect:
        target = urljoin(url, response.headers.get("location", ""))
        raise WorkbookError(
            f"{url} redirects to {target} ({status}).",
            why="Redirects are not followed: they would be measured too.",
            next_step=f"Measure {target} itself.",
        )
    if status == 400 and url.startswith("http://") and re.search(r"https", response.text, re.IGNORECASE):
        raise WorkbookError(
            f"{url} speaks TLS.",
            why="It refuses plain HTTP (400).",
            next_step=f"Measure {url.replace('http://', 'https://', 1)}.",
        )
    wanted = " or ".join(map(str, expected))
    wait = response.headers.get("retry-after")
    if status in (429, 503):
        seconds = seconds_to_wait(wait.encode()) if wait else float("nan")
        again = f"in {seconds:g} s" if seconds == seconds else "when it has recovered"
        raise WorkbookError(
            f"{url} answers {status} before any load.",
            why=("It limits how often one may ask" if status == 429 else "It is overloaded or not ready")
            + (f" (Retry-After: {wait})." if wait else "."),
            next_step=f"Try again {again}, or lift its limit for this address.",
        )
    raise WorkbookError(
        f"{url} answers {status}, not {wanted}.",
        why=f"It says: {_short(response.text) or 'nothing'}",
        next_step="Look at method, path and body, or name the statuses that are right (--expect).",
    )


def _grpc_once(client: GrpcClient, kind: Kind) -> None:
    import grpc

    target = client.url.removeprefix("grpc://").rstrip("/")
    expected = client.default_expected if kind.expected is None else tuple(kind.expected)
    with grpc.insecure_channel(target) as channel:
        try:
            channel.unary_unary(kind.path)(
                kind.bodies[0],
                timeout=kind.timeout,
                metadata=[(name.lower(), value) for name, value in kind.headers.items()],
            )
            code = grpc.StatusCode.OK
            details = ""
        except grpc.RpcError as error:
            code, details = error.code(), error.details()
    if code.value[0] not in expected:
        raise WorkbookError(
            f"{kind.path} at {client.url} answers {code.name}.",
            why=_short(details or ""),
            next_step="See whether the server runs and has this method.",
        )


def _short(words: str) -> str:
    """The first line, at most 160 characters of it, without a full stop."""
    line = (words.strip().splitlines() or [""])[0].rstrip(".")
    return line if len(line) <= 160 else line[:157] + "..."
