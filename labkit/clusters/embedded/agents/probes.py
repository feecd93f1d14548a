"""Start-up, readiness and liveness probes: asked on time, believed after as many answers as they say."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aiohttp

from labkit.clusters.embedded.agents.engine import Engine, EngineError

Object = dict[str, Any]
_MOST_BYTES = 10_240
_AGENT = "kube-probe/1.37"


@dataclass(frozen=True)
class Place:
    """Where a container's probes and hooks go.

    Attributes:
        engine: Runs commands.
        container: The engine's id of the container.
        address: The pod's.
        ports: The container's named ports.
    """

    engine: Engine
    container: str
    address: str
    ports: dict[str, int]


async def ask(handler: Object, place: Place, seconds: float) -> str:
    """Ask once; gives what is wrong, empty if nothing is."""
    try:
        async with asyncio.timeout(seconds):
            if action := handler.get("exec"):
                return await _run(action["command"], place, seconds)
            if action := handler.get("httpGet"):
                return await _get(action, place, seconds)
            if action := handler.get("tcpSocket"):
                _, writer = await asyncio.open_connection(
                    action.get("host") or place.address, _port(action, place)
                )
                writer.close()
                return ""
    except TimeoutError:
        return f"command timed out after {seconds:g}s" if "exec" in handler else _late(handler, place)
    except OSError as error:
        where = f"{place.address}:{_port(handler['tcpSocket'], place)}"
        return f"dial tcp {where}: connect: {(error.strerror or str(error)).lower()}"
    kind = next((name for name in handler if name in ("grpc",)), "this")
    return f"the embedded cluster has no {kind} probes"


async def _run(command: list[str], place: Place, seconds: float) -> str:
    try:
        code, said = await place.engine.run_in(place.container, command, seconds)
    except EngineError as error:
        return str(error)
    if code is None:
        return f"command timed out: {' '.join(command)!r} timed out after {seconds:g}s"
    return "" if code == 0 else said.decode(errors="replace").strip() or f"command ended with {code}"


async def _get(action: Object, place: Place, seconds: float) -> str:
    url = _url(action, place)
    headers = {"User-Agent": _AGENT, "Accept": "*/*"}
    headers |= {one["name"]: one.get("value", "") for one in action.get("httpHeaders") or ()}
    # As a kubelet: a certificate is not looked at, the pod is our own.
    connector = aiohttp.TCPConnector(ssl=False, force_close=True)
    try:
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.get(url, headers=headers, allow_redirects=False) as answer,
        ):
            await answer.content.read(_MOST_BYTES)
            bad = not 200 <= answer.status < 400
            return f"HTTP probe failed with statuscode: {answer.status}" if bad else ""
    except aiohttp.ClientConnectorError as error:
        where = f"{place.address}:{_port(action, place)}"
        words = (error.os_error.strerror or str(error.os_error)).lower()
        return f'Get "{url}": dial tcp {where}: connect: {words}'
    except (aiohttp.ClientError, ValueError) as error:
        return f'Get "{url}": {error or "EOF"}'


def _url(action: Object, place: Place) -> str:
    path = "/" + str(action.get("path") or "/").lstrip("/")
    host = action.get("host") or place.address
    return f"{str(action.get('scheme') or 'HTTP').lower()}://{host}:{_port(action, place)}{path}"


def _late(handler: Object, place: Place) -> str:
    if action := handler.get("httpGet"):
        words = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        return f'Get "{_url(action, place)}": {words}'
    return f"dial tcp {place.address}:{_port(handler['tcpSocket'], place)}: i/o timeout"


def _port(action: Object, place: Place) -> int:
    port = action["port"]
    return port if isinstance(port, int) else place.ports.get(port, 0)


@dataclass(frozen=True)
class Answer:
    """What one probe said.

    Attributes:
        good: Whether nothing is wrong.
        believed: Whether it has been said as often in a row as the probe asks for.
        wrong: What is wrong.
    """

    good: bool
    believed: bool
    wrong: str


async def watch(probe: Object, place: Place, hear: Callable[[Answer], bool], *, ran: float = 0.0) -> None:
    """Ask again and again until `hear` says that it is enough.

    Args:
        probe: As the pod has it, defaults filled in.
        place: Where.
        hear: Told of each answer; gives whether to stop.
        ran: For how many seconds the container has been running.
    """
    period = float(probe.get("periodSeconds") or 10)
    needed = {True: int(probe.get("successThreshold") or 1), False: int(probe.get("failureThreshold") or 3)}
    await asyncio.sleep(max(0.0, float(probe.get("initialDelaySeconds") or 0) - ran))
    loop, count, last = asyncio.get_running_loop(), 0, None
    while True:
        begun = loop.time()
        wrong = await ask(probe, place, float(probe.get("timeoutSeconds") or 1))
        good = not wrong
        count, last = (count + 1 if good is last else 1), good
        if hear(Answer(good, count >= needed[good], wrong)):
            return
        await asyncio.sleep(max(0.0, period - (loop.time() - begun)))
