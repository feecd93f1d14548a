"""The model in FastAPI's thread pool: a plain def endpoint, slices in a queue, a bound on bulk requests.

FastAPI would parse the body in the event loop; the dependency below hands it over as it came.
"""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

import numpy as np
import torch
import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from model import DigitClassifier
from prometheus_client import CONTENT_TYPE_LATEST, Counter, generate_latest
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors.torch import load_file

Grey = Annotated[float, Field(ge=0, le=255, allow_inf_nan=False)]
Image = Annotated[list[Grey], Field(min_length=784, max_length=784)]


class Batch(BaseModel):
    model_config = ConfigDict(strict=True)
    features: Annotated[list[Image], Field(min_length=1, max_length=1024)]


REQUESTS = Counter("predictions_served", "Requests that were answered with scores")
app = FastAPI()
model = DigitClassifier()
model.load_state_dict(load_file("model.safetensors"))
model.eval()
model_thread = ThreadPoolExecutor(1)  # first come, first served; a lock would let the bulk in again and again
bulk_places = threading.BoundedSemaphore(3)
torch.set_num_threads(1)


async def raw_body(request: Request) -> bytes:
    return await request.body()


@app.post("/predict")
def predict(body: Annotated[bytes, Depends(raw_body)]):
    if len(body) < 50_000:
        scores = score(body)
    elif bulk_places.acquire(blocking=False):
        try:
            scores = score(body)
        finally:
            bulk_places.release()
    else:
        return Response(status_code=503, headers={"Retry-After": "1"})
    REQUESTS.inc()
    return {"prediction": scores}


def score(body: bytes) -> list[list[float]]:
    try:
        batch = Batch.model_validate_json(body)
    except ValidationError as error:
        raise HTTPException(422, error.errors(include_input=False, include_context=False)[:5]) from error
    images = torch.from_numpy(np.array(batch.features, dtype=np.float32))
    return [row for piece in images.split(16) for row in model_thread.submit(run, piece).result()]


@torch.inference_mode()
def run(images: torch.Tensor) -> list[list[float]]:
    return model(images).tolist()


@app.get("/health")
@app.get("/ready")
async def alive():
    return {"status": "ready"}


@app.get("/metrics")
async def metrics():
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), log_level="warning")
