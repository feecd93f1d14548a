"""What a container printed: all of it, its end, the one before, or as it comes."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import datetime
from typing import Any

from aiohttp import web

from labkit.clusters.embedded import errors
from labkit.clusters.embedded.agents.engine import Engine, EngineGone, frames
from labkit.clusters.embedded.requests import flag

Object = dict[str, Any]


def _number(request: web.Request, name: str) -> int | None:
    text = request.query.get(name)
    if text is None:
        return None
    if not text.isdigit():
        raise errors.bad_request(f'Invalid value: "{text}": {name} must be a number that is not negative')
    return int(text)


def _since(request: web.Request) -> float | None:
    seconds = _number(request, "sinceSeconds")
    if seconds is not None:
        return time.time() - seconds
    if text := request.query.get("sinceTime"):
        try:
            return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
        except ValueError:
            raise errors.bad_request(f'Invalid value: "{text}": sinceTime is not a time') from None
    return None


async def send(request: web.Request, engine: Engine, container: str) -> web.StreamResponse:
    """Answer with what a container printed.

    Raises:
        ApiError: A parameter can't be read.
    """
    left, since = _number(request, "limitBytes"), _since(request)
    tail = _number(request, "tailLines")
    tty = bool((await engine.inspect(container))["Config"]["Tty"])
    asked: Object = {
        "stdout": True,
        "stderr": True,
        "follow": flag(request, "follow"),
        "timestamps": flag(request, "timestamps"),
        "tail": tail if tail is not None else "all",
        "since": f"{since:.6f}" if since is not None else None,
    }
    response = web.StreamResponse(headers={"Content-Type": "text/plain"})
    async with engine.open("GET", f"/containers/{container}/logs", **asked) as answer:
        await response.prepare(request)
        with suppress(ConnectionError, EngineGone):
            pieces = answer.content.iter_any() if tty else (data async for _, data in frames(answer.content))
            async for piece in pieces:
                kept = piece if left is None else piece[:left]
                await response.write(kept)
                if left is not None and (left := left - len(kept)) <= 0:
                    break
            await response.write_eof()
    return response
