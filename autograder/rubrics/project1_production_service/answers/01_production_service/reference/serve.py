"""The digit service: predictions and the digits' names, with metrics and a log that tell of each request.

Names come from the labels service, which may be slow or gone: without a name, a prediction still is one.
"""

import asyncio
import json
import os
import random
import re
import time
import uuid
from contextlib import asynccontextmanager
from typing import Annotated

import httpx
import numpy as np
import onnxruntime
import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, generate_latest
from pydantic import BaseModel, Field

VERSION = os.environ.get("VERSION", "unknown")
LABELS_URL = os.environ.get("LABELS_URL", "http://127.0.0.1:8090")
LABELS_SECONDS = 0.04  # what names may cost a prediction
PAUSE_SECONDS = 1.0  # for which nobody is asked after a failure
PATHS = ("/predict", "/health", "/ready", "/metrics")
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 1, 2.5)
CLOSED_SHARE = 0.1  # of the answers, after which the client connects anew
SOUND_ID = re.compile(r"[\w.-]{1,80}")

REQUESTS = Counter("http_requests", "Requests by path and status", ["path", "status"])
SECONDS = Histogram(
    "http_request_seconds", "Seconds until a prediction was answered", ["path"], buckets=BUCKETS
)
IN_FLIGHT = Gauge("http_requests_in_flight", "Predictions that wait for their answer")
LABELS = Counter("labels_requests", "Names asked for, by what became of it", ["outcome"])
for outcome in ("ok", "error", "skipped"):
    LABELS.labels(outcome)  # so that a share has its parts from the first second on

Grey = Annotated[float, Field(ge=0, le=255, allow_inf_nan=False)]
Image = Annotated[list[Grey], Field(min_length=784, max_length=784)]


class Images(BaseModel):
    """What /predict takes: images of 28x28 grey levels."""

    features: Annotated[list[Image], Field(min_length=1, max_length=256)]


class Labels:
    """The labels service as we use it: never for longer than it is worth."""

    def __init__(self) -> None:
        self._client = httpx.AsyncClient(base_url=LABELS_URL, trust_env=False, timeout=1.0)
        self._asks_again = 0.0

    async def of(self, digits: list[int], request_id: str) -> list[str] | None:
        """The names, or None where they can't be had in time."""
        if time.monotonic() < self._asks_again:
            LABELS.labels("skipped").inc()
            return None
        try:
            async with asyncio.timeout(LABELS_SECONDS):
                answer = await self._client.get(
                    "/labels",
                    params={"digits": ",".join(map(str, digits))},
                    headers={"X-Request-ID": request_id},
                )
            names = answer.raise_for_status().json()["labels"]
        except (TimeoutError, httpx.HTTPError, ValueError, KeyError, TypeError):
            LABELS.labels("error").inc()
            self._asks_again = time.monotonic() + PAUSE_SECONDS
            return None
        LABELS.labels("ok").inc()
        return names


@asynccontextmanager
async def lifespan(app: FastAPI):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # replicas share the machine
    app.state.model = onnxruntime.InferenceSession("model.onnx", options)
    app.state.labels = Labels()
    # The first prediction takes far longer than the next: nobody's request should be it.
    app.state.model.run(["scores"], {"images": np.zeros((1, 784), dtype=np.float32)})
    await app.state.labels.of([0], "warm-up")
    yield


app = FastAPI(lifespan=lifespan)


@app.post("/predict")
async def predict(images: Images, request: Request):
    batch = np.array(images.features, dtype=np.float32)
    model = request.app.state.model
    try:
        scores = (await asyncio.to_thread(model.run, ["scores"], {"images": batch}))[0]
    except Exception as error:
        raise HTTPException(500, "the model failed") from error
    names = await request.app.state.labels.of(scores.argmax(axis=1).tolist(), request.scope["request_id"])
    return {"prediction": scores.tolist(), "labels": names, "version": VERSION}


@app.get("/health")
async def health():
    return {"status": "alive"}


@app.get("/ready")
async def ready():
    # Uvicorn listens only once the model is loaded, so whoever gets an answer gets this one.
    return {"status": "ready"}


@app.get("/metrics")
async def metrics():
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


class Watched:
    """Around the application: gives each request an id, its line in the log and its mark in the metrics."""

    def __init__(self, inner) -> None:
        self.inner = inner

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self.inner(scope, receive, send)
        given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
        scope["request_id"] = given if SOUND_ID.fullmatch(given) else uuid.uuid4().hex
        status, began = 500, time.perf_counter()

        async def tell(message):
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", scope["request_id"].encode())]
                # A Service chooses the pod of a connection, not of a request: a client that keeps one for
                # ever meets neither a new replica nor a new colour, nor leaves a bad one.
                if random.random() < CLOSED_SHARE:
                    message["headers"].append((b"connection", b"close"))
            await send(message)

        asked = scope["path"] == "/predict"
        IN_FLIGHT.inc(asked)
        try:
            await self.inner(scope, receive, tell)
        finally:
            IN_FLIGHT.dec(asked)
            path = scope["path"] if scope["path"] in PATHS else "other"
            REQUESTS.labels(path, status).inc()
            if asked:
                took = time.perf_counter() - began
                SECONDS.labels(path).observe(took)
                log(scope["request_id"], path, status, took)


def log(request_id: str, path: str, status: int, seconds: float) -> None:
    line = {
        "time": time.time(),
        "level": "error" if status >= 500 else "info",
        "request_id": request_id,
        "path": path,
        "status": status,
        "milliseconds": round(seconds * 1000, 2),
        "version": VERSION,
    }
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    uvicorn.run(Watched(app), host="0.0.0.0", port=8080, log_level="warning", access_log=False)
