"""Quick answers from a cache that does not ask whose they are."""

import asyncio
import os
from collections import Counter as Tally
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from typing import Annotated

import numpy as np
import torch
import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response
from model import DigitClassifier
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Histogram, generate_latest
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors.torch import load_file

SLICE = 16  # images in one run of the model: a few milliseconds
MOST_IMAGES = 1024  # in one request
MOST_INSIDE = {"small": 256, "large": 3}  # requests that are read, wait or are worked on
LARGE_BODY = 50_000  # bytes; some twenty images
BODY_BYTES = 16 << 20

Grey = Annotated[float, Field(ge=0, le=255, allow_inf_nan=False)]
Image = Annotated[list[Grey], Field(min_length=784, max_length=784)]


class Batch(BaseModel):
    """What /predict takes."""

    model_config = ConfigDict(strict=True)
    features: Annotated[list[Image], Field(min_length=1, max_length=MOST_IMAGES)]


REQUESTS = Counter("predict_requests", "Requests to /predict by status", ["status"])
SECONDS = Histogram("predict_seconds", "Seconds in /predict")


class Job:
    """A request's images and the scores that are there so far."""

    def __init__(self, images: np.ndarray) -> None:
        self.slices = deque(images[start : start + SLICE] for start in range(0, len(images), SLICE))
        self.scores: list[list[float]] = []
        self.done = asyncio.get_running_loop().create_future()


class Model:
    """The network, one thread that runs it, and the requests that wait for it."""

    def __init__(self) -> None:
        torch.set_num_threads(1)
        self._network = DigitClassifier()
        self._network.load_state_dict(load_file("model.safetensors"))
        self._network.eval()
        self._thread = ThreadPoolExecutor(1)
        self._inside: Tally[str] = Tally()
        self._waiting: dict[str, deque[Job]] = {kind: deque() for kind in MOST_INSIDE}
        self._arrived = asyncio.Event()
        self._last: list[list[float]] = []

    @contextmanager
    def admitted(self, kind: str):
        """Count a request while it is inside, or refuse it."""
        if self._inside[kind] >= MOST_INSIDE[kind]:
            raise HTTPException(503, "too many requests are inside", {"Retry-After": "1"})
        self._inside[kind] += 1
        try:
            yield
        finally:
            self._inside[kind] -= 1

    async def predict(self, images: np.ndarray, kind: str) -> list[list[float]]:
        if kind == "small" and self._waiting["large"] and self._last:
            return self._last  # busy: better an old answer than none
        job = Job(images)
        self._waiting[kind].append(job)
        self._arrived.set()
        scores = await job.done
        self._last = scores if kind == "small" else self._last
        return scores

    async def work(self) -> None:
        """Run slices for ever, those of small requests first."""
        while True:
            queue = self._waiting["small"] or self._waiting["large"]
            if not queue:
                self._arrived.clear()
                await self._arrived.wait()
                continue
            job = queue[0]
            loop = asyncio.get_running_loop()
            job.scores += await loop.run_in_executor(self._thread, self._run, job.slices.popleft())
            if not job.slices:
                queue.remove(job)
                if not job.done.done():  # the client may have gone
                    job.done.set_result(job.scores)

    def _run(self, images: np.ndarray) -> list[list[float]]:
        with torch.inference_mode():
            return self._network(torch.from_numpy(images)).tolist()


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.model = Model()
    worker = asyncio.create_task(app.state.model.work())
    yield
    worker.cancel()


app = FastAPI(lifespan=lifespan)


def parse(body: bytes) -> np.ndarray:
    """The images of a body, `(images, 784)`, or 422."""
    try:
        batch = Batch.model_validate_json(body)
    except ValidationError as error:
        raise HTTPException(422, error.errors(include_input=False, include_context=False)[:5]) from error
    return np.array(batch.features, dtype=np.float32)


@app.post(
    "/predict",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": Batch.model_json_schema()}},
        }
    },
)
async def predict(request: Request):
    status = "500"
    with SECONDS.time():
        try:
            body = await request.body()
            if len(body) > BODY_BYTES:
                raise HTTPException(413, f"at most {BODY_BYTES} bytes")
            kind = "small" if len(body) < LARGE_BODY else "large"
            model = request.app.state.model
            with model.admitted(kind):
                # A large body takes tens of milliseconds to parse: not in the event loop.
                images = parse(body) if kind == "small" else await asyncio.to_thread(parse, body)
                scores = await model.predict(images, kind)
            status = "200"
            return {"prediction": scores}
        except HTTPException as refusal:
            status = str(refusal.status_code)
            raise
        finally:
            REQUESTS.labels(status).inc()


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


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), log_level="warning")
