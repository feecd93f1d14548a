"""A model server whose capacity is known: two predictions at a time, a tenth of a second each.

A prediction takes 5 ms of the processor and waits for the rest, as one does that waits for an accelerator.
So one replica answers 20 requests a second, however fast the machine is. Leave this file as it is.

    GET /predict    a prediction; 503 once 40 requests wait
    GET /ready      200
    GET /metrics    for Prometheus: requests_in_flight, requests_total
"""

import asyncio
import os
import signal
import time
from collections import deque

SLOTS = 2
SECONDS = 0.1
CPU_SECONDS = 0.005
MOST_WAITING = 40
WINDOW = 4.0  # seconds over which requests_in_flight is the mean
LEAVING_SECONDS = 2.0  # still answering after SIGTERM: Services need a moment to hear of it


class InFlight:
    """How many requests are in the server, waiting or worked on; and the mean of the last seconds."""

    def __init__(self):
        self.now = 0
        self.total = 0
        self.changes = deque([(time.monotonic(), 0)])

    def add(self, by):
        self.now += by
        self.total += by > 0
        self.changes.append((time.monotonic(), self.now))

    def mean(self):
        end = time.monotonic()
        while len(self.changes) > 1 and self.changes[1][0] < end - WINDOW:
            self.changes.popleft()
        area, until = 0.0, end
        for at, count in reversed(self.changes):
            since = max(at, end - WINDOW)
            area += count * (until - since)
            until = since
        return area / WINDOW


slots = asyncio.Semaphore(SLOTS)
in_flight = InFlight()


async def predict():
    if in_flight.now >= SLOTS + MOST_WAITING:
        return 503, "full\n"
    in_flight.add(1)
    try:
        async with slots:
            end = time.monotonic() + SECONDS
            busy = time.thread_time() + CPU_SECONDS
            while time.thread_time() < busy:
                pass
            await asyncio.sleep(max(0.0, end - time.monotonic()))
        return 200, "0.5\n"
    finally:
        in_flight.add(-1)


def metrics():
    return 200, (
        "# TYPE requests_in_flight gauge\n"
        f"requests_in_flight {in_flight.mean():.3f}\n"
        "# TYPE requests_total counter\n"
        f"requests_total {in_flight.total}\n"
    )


async def answer(reader, writer):
    """One request on one connection: so each request goes to the replica whose turn it is."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split(b" ", 2)[1].decode()
        if path == "/predict":
            status, body = await predict()
        elif path == "/metrics":
            status, body = metrics()
        elif path == "/ready":
            status, body = 200, "ready\n"
        else:
            status, body = 404, "no such path\n"
        lines = (f"HTTP/1.1 {status} -", f"Content-Length: {len(body)}", "Connection: close", "", body)
        writer.write("\r\n".join(lines).encode())
        await writer.drain()
    except (ConnectionError, asyncio.IncompleteReadError, IndexError):
        pass
    finally:
        writer.close()


async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    server = await asyncio.start_server(answer, "0.0.0.0", int(os.environ.get("PORT", "8080")))
    async with server:
        await stop.wait()
        await asyncio.sleep(LEAVING_SECONDS)
        server.close()
        while in_flight.now:
            await asyncio.sleep(0.02)


asyncio.run(main())
