"""Your model server. Start it with `PORT=8000 python serve.py`."""

import os

import uvicorn
from fastapi import FastAPI

app = FastAPI()

# Your server goes here; the notebook says what it has to keep.
# Beside this file lie two versions of the model: model-1.onnx and model-2.onnx.

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), log_level="warning")
