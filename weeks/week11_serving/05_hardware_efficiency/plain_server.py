"""A server that answers rightly and wastes most of the machine: one image at a time, remembered by nobody."""

import os

import numpy as np
import onnxruntime
import uvicorn
from fastapi import FastAPI

app = FastAPI()
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession("model-1.onnx", options, providers=["CPUExecutionProvider"])


def scores_of(image):
    (scores,) = session.run(None, {"images": np.array([image], dtype=np.float32)})
    return scores[0].tolist()


@app.post("/predict")
def predict(body: dict):
    return {"prediction": [scores_of(image) for image in body["features"]]}


@app.get("/health")
async def health():
    return {"status": "alive"}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), log_level="warning")
