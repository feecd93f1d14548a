"""Sends each request to a version of the model. What it decides by is routing.py; leave this file as it is.

A request that names its user takes part in the experiment; any other is routed by the canary's weights.
The routes are /routes/routes.json: {"experiment": "ranker-2", "split": {...}, "canary": {...}}.
"""

import asyncio
import json
import random
import signal
from pathlib import Path

import routing

ROUTES = json.loads(Path("/routes/routes.json").read_text())
ANSWER_SECONDS = 5
LEAVING_SECONDS = 2.0


def decide(body):
    """The colour that takes a request, and what is to be logged of it."""
    try:
        user = json.loads(body).get("user") if body else None
    except (ValueError, AttributeError):
        user = None
    if not user:
        return routing.choose(random.random(), ROUTES["canary"]), None
    colour = routing.assign(str(user), ROUTES["experiment"], ROUTES["split"])
    return colour, routing.exposure(str(user), ROUTES["experiment"], colour)


async def forward(colour, request):
    """Ask that colour; gives its answer as it came."""
    reader, writer = await asyncio.open_connection(colour, 8080)
    try:
        writer.write(request)
        return await reader.read()
    finally:
        writer.close()


async def answer(reader, writer):
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        body = await reader.readexactly(int(lengths[0].split(b":")[1])) if lengths else b""
        if head.split(b" ", 2)[1] == b"/ready":
            writer.write(b"HTTP/1.1 200 -\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        else:
            colour, logged = decide(body)
            async with asyncio.timeout(ANSWER_SECONDS):
                given = await forward(colour, head + body)
            if logged is not None and given.startswith(b"HTTP/1.1 200"):
                print(json.dumps(logged), flush=True)  # the log is what the analysis reads
            writer.write(given)
        await writer.drain()
    except (ConnectionError, asyncio.IncompleteReadError, IndexError):
        pass
    except Exception as error:
        print(f"{type(error).__name__}: {error}", flush=True)
        writer.write(b"HTTP/1.1 502 -\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    finally:
        writer.close()


async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with await asyncio.start_server(answer, "0.0.0.0", 8080, backlog=512):
        await stop.wait()
        await asyncio.sleep(LEAVING_SECONDS)


asyncio.run(main())
