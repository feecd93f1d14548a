"""A server of a small ranking model, in the version that VERSION names. Leave this file as it is.

POST /predict   {"user": "..."}: {"version": "v1", "score": 0.31}
GET /health     200 as soon as it runs
GET /ready      200 once its model is loaded, which takes some seconds; until then all else is 503
"""

import asyncio
import hashlib
import json
import math
import os
import signal

VERSION = os.environ["VERSION"]
LOAD_SECONDS = float(os.environ.get("LOAD_SECONDS", "6"))
WEIGHTS = {"v1": (-1.2, 0.8, 0.3), "v2": (-0.9, 1.1, 0.2)}[VERSION]
LEAVING_SECONDS = 2.0  # still answering after SIGTERM: Services need a moment to hear of it

loaded = asyncio.Event()


def score(user):
    """What the model expects of a user: a logistic regression on two features."""
    features = hashlib.sha256(user.encode()).digest()
    total = WEIGHTS[0] + WEIGHTS[1] * features[0] / 255 + WEIGHTS[2] * features[1] / 255
    return round(1 / (1 + math.exp(-total)), 4)


def respond(path, body):
    if path == "/health":
        return 200, {"up": True}
    if not loaded.is_set():
        return 503, {"detail": "the model is being loaded"}
    if path == "/ready":
        return 200, {"version": VERSION}
    if path != "/predict":
        return 404, {"detail": "no such path"}
    try:
        return 200, {"version": VERSION, "score": score(str(json.loads(body).get("user") or ""))}
    except (ValueError, AttributeError):
        return 422, {"detail": 'send {"user": "..."}'}


async def answer(reader, writer):
    """One request on one connection, so that the next may go elsewhere."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        lengths = [line for line in head.lower().split("\r\n") if line.startswith("content-length:")]
        body = await reader.readexactly(int(lengths[0].split(":")[1])) if lengths else b""
        status, value = respond(head.split(" ", 2)[1], body)
        text = json.dumps(value)
        kind = "Content-Type: application/json"
        lines = (f"HTTP/1.1 {status} -", kind, f"Content-Length: {len(text)}", "Connection: close", "", text)
        writer.write("\r\n".join(lines).encode())
        await writer.drain()
    except (ConnectionError, asyncio.IncompleteReadError, IndexError, ValueError):
        pass
    finally:
        writer.close()


async def main():
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.call_later(LOAD_SECONDS, loaded.set)
    async with await asyncio.start_server(answer, "0.0.0.0", 8080, backlog=512):
        await stop.wait()
        await asyncio.sleep(LEAVING_SECONDS)


asyncio.run(main())
