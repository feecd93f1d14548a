"""Leaves the refusal to FastAPI, which repeats the input: with NaN in it the answer is a 500."""

import os
import threading
from typing import Annotated

import torch
import uvicorn
from fastapi import FastAPI, Response
from model import DigitClassifier
from prometheus_client import CONTENT_TYPE_LATEST, Counter, generate_latest
from pydantic import BaseModel, ConfigDict, Field
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
free = threading.BoundedSemaphore(16)  # requests that may be inside at once


@app.post("/predict")
def predict(batch: Batch):
    if not free.acquire(blocking=False):
        return Response(status_code=503, headers={"Retry-After": "1"})
    try:
        with torch.inference_mode():
            scores = model(torch.tensor(batch.features))
    finally:
        free.release()
    REQUESTS.inc()
    return {"prediction": scores.tolist()}


@app.get("/health")
@app.get("/ready")
async def alive():
    return {"status": "ready"}


@app.get("/metrics")
async def metrics():
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), log_level="warning")
