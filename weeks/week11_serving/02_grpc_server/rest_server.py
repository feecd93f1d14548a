"""The same model over HTTP and JSON, to compare with."""

import os

import numpy as np
import torch
import uvicorn
from fastapi import FastAPI, Request
from model import DigitClassifier
from safetensors.torch import load_file

app = FastAPI()
model = DigitClassifier()
model.load_state_dict(load_file("model.safetensors"))
model.eval()
torch.set_num_threads(1)


@app.post("/predict")
async def predict(request: Request):
    images = np.array((await request.json())["features"], dtype=np.float32)
    with torch.inference_mode():
        return {"prediction": model(torch.from_numpy(images)).tolist()}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), log_level="warning")
