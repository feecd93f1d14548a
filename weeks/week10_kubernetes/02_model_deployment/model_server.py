"""A server of a small model, as one replica of many. Leave this file as it is.

POST /predict   {"features": [0.2, 0.7]}: {"version": "v1", "score": 0.31}; version 2 is much quicker
GET /health     200 while it can serve at all
GET /ready      200, or 503 while more requests wait than it has room for
POST /wedge     from then on it answers nothing, as a server does whose threads wait for each other
POST /crash     ends at once, as if it were killed: nothing is finished

It loads its model before it listens: until then nobody is answered. On SIGTERM it ends at once, whatever it
has begun.
"""

import asyncio
import json
import math
import os
import signal
import time

VERSION = os.environ.get("VERSION", "v1")
LOAD_SECONDS = float(os.environ.get("LOAD_SECONDS", "1.5"))
WORK_SECONDS = float(os.environ.get("WORK_SECONDS", {"v1": "0.2", "v2": "0.005"}[VERSION]))
WEIGHTS = {"v1": (-1.2, 0.8, 0.3), "v2": (-0.9, 1.1, 0.2)}[VERSION]
SLOTS, ROOM = 32, 60  # worked on at a time, and waiting

slots = asyncio.Semaphore(SLOTS)
busy = 0
wedged = False


def score(features):
    """What the model says: a logistic regression on two features."""
    total = WEIGHTS[0] + WEIGHTS[1] * features[0] + WEIGHTS[2] * features[1]
    return round(1 / (1 + math.exp(-total)), 4)


async def predict(body):
    global busy
    if busy >= SLOTS + ROOM:
        return 503, {"detail": "too many requests wait already"}
    busy += 1
    try:
        async with slots:
            await asyncio.sleep(WORK_SECONDS)
            return 200, {"version": VERSION, "score": score(json.loads(body)["features"])}
    except (ValueError, KeyError, TypeError, IndexError):
        return 422, {"detail": 'send {"features": [number, number]}'}
    finally:
        busy -= 1


async def respond(method, path, body):
    global wedged
    if (method, path) == ("POST", "/crash"):
        os._exit(137)
    wedged = wedged or (method, path) == ("POST", "/wedge")
    if wedged:
        await asyncio.Event().wait()
    if path == "/health":
        return 200, {"up": True}
    if path == "/ready":
        return (200, {"version": VERSION}) if busy < SLOTS + ROOM // 2 else (503, {"waiting": busy})
    if path == "/predict":
        return await predict(body)
    return 404, {"detail": "no such path"}


async def answer(reader, writer):
    """One request on one connection, so that the next may go elsewhere."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        lengths = [line for line in head.lower().split("\r\n") if line.startswith("content-length:")]
        body = await reader.readexactly(int(lengths[0].split(":")[1])) if lengths else b""
        status, value = await respond(*head.split(" ", 2)[:2], body)
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
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, os._exit, 0)
    server = await asyncio.start_server(answer, "0.0.0.0", 8080, backlog=512)
    print(json.dumps({"listening": VERSION}), flush=True)
    await server.serve_forever()


time.sleep(LOAD_SECONDS)
asyncio.run(main())
