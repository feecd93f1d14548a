"""Exec and attach: a command in a container, or the container's own, with its three streams."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import web

from labkit.clusters.embedded.agents.engine import Engine, EngineError, EngineGone, frames
from labkit.clusters.embedded.requests import flag
from labkit.clusters.embedded.streams.channels import (
    ERROR,
    RESIZE,
    STDERR,
    STDIN,
    STDOUT,
    Channels,
    accept,
)

Object = dict[str, Any]
_SUCCESS: Object = {"metadata": {}, "status": "Success"}
_PIECE = 1 << 16


async def execute(request: web.Request, engine: Engine, container: str) -> web.StreamResponse:
    """Run a command in a container."""
    tty, stdin = flag(request, "tty"), flag(request, "stdin")
    body = {
        "AttachStdin": stdin,
        "AttachStdout": True,
        "AttachStderr": not tty,
        "Tty": tty,
        "Cmd": request.query.getall("command", []),
    }
    channels = await accept(request)
    try:
        made = await engine.ask("POST", f"/containers/{container}/exec", body)
        place = f"/exec/{made['Id']}"
        reader, writer = await engine.raw(f"{place}/start", {"Detach": False, "Tty": tty})
        await _exchange(channels, engine, place, reader, writer, tty=tty)
        code = int((await engine.ask("GET", f"{place}/json"))["ExitCode"] or 0)
        await _tell(channels, _ended(code))
    except (EngineError, EngineGone) as error:
        await _tell(channels, _failure(f"Internal error occurred: {error}", "InternalError"))
    except ConnectionError:
        pass  # the client went
    return await channels.close()


async def attach(request: web.Request, engine: Engine, container: str) -> web.StreamResponse:
    """Take part in a container's own streams until it ends or the client goes."""
    tty = bool((await engine.inspect(container))["Config"]["Tty"])
    asked = "&".join(f"{name}=1" for name in ("stdin", "stdout", "stderr") if flag(request, name))
    channels = await accept(request)
    place = f"/containers/{container}"
    try:
        reader, writer = await engine.raw(f"{place}/attach?stream=1&{asked}", {})
        await _exchange(channels, engine, place, reader, writer, tty=tty)
        await _tell(channels, _SUCCESS)
    except (EngineError, EngineGone) as error:
        await _tell(channels, _failure(f"Internal error occurred: {error}", "InternalError"))
    except ConnectionError:
        pass  # the client went
    return await channels.close()


async def _exchange(
    channels: Channels,
    engine: Engine,
    place: str,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    *,
    tty: bool,
) -> None:
    """Carry all that goes either way until the command's output ends or the client goes."""
    taking = asyncio.create_task(_take(channels, engine, place, writer))
    giving = asyncio.create_task(_give(channels, reader, tty=tty))
    try:
        await asyncio.wait([taking, giving], return_when=asyncio.FIRST_COMPLETED)
        if not giving.done() and not taking.result():
            raise ConnectionResetError("the client is gone")
        await giving
    finally:
        taking.cancel()
        giving.cancel()
        writer.close()


async def _take(channels: Channels, engine: Engine, place: str, writer: asyncio.StreamWriter) -> bool:
    """Carry input; false when the client is gone."""
    while (message := await channels.receive()) is not None:
        channel, data = message
        if channel == STDIN and data is None:
            if writer.can_write_eof():
                writer.write_eof()
        elif channel == STDIN and data:
            writer.write(data)
            await writer.drain()
        elif channel == RESIZE and data:
            await _resize(engine, place, data)
    return False


async def _resize(engine: Engine, place: str, data: bytes) -> None:
    try:
        size = json.loads(data)
        await engine.ask("POST", f"{place}/resize", h=int(size["Height"]), w=int(size["Width"]))
    except (ValueError, KeyError, TypeError, EngineError):
        return  # a size that can't be had changes nothing


async def _give(channels: Channels, reader: asyncio.StreamReader, *, tty: bool) -> None:
    if tty:
        while data := await reader.read(_PIECE):
            await channels.send(STDOUT, data)
        return
    async for number, data in frames(reader):
        await channels.send(STDERR if number == STDERR else STDOUT, data)


async def _tell(channels: Channels, status: Object) -> None:
    try:
        await channels.send(ERROR, json.dumps(status).encode())
    except ConnectionError:
        return


def _ended(code: int) -> Object:
    if code == 0:
        return _SUCCESS
    causes = [{"reason": "ExitCode", "message": str(code)}]
    message = f"command terminated with non-zero exit code: exit status {code}"
    return {**_failure(message, "NonZeroExitCode"), "details": {"causes": causes}}


def _failure(message: str, reason: str) -> Object:
    return {"metadata": {}, "status": "Failure", "message": message, "reason": reason}
