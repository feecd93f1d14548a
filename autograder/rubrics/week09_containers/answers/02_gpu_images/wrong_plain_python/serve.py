"""The application that goes into the image: it reads handwritten digits, on a GPU where there is one.

It listens on the port in PORT, 8080 by default.
"""

import ctypes
import os
from pathlib import Path

import torch
import uvicorn
from fastapi import FastAPI, HTTPException
from model import DigitClassifier
from pydantic import BaseModel
from safetensors.torch import load_file

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")

app = FastAPI()
network = DigitClassifier()
network.load_state_dict(load_file("model.safetensors"))
network.to(DEVICE).eval()


class Images(BaseModel):
    """Images of 28x28 grey levels from 0 to 255."""

    features: list[list[float]]


@app.post("/predict")
def predict(images: Images) -> dict[str, list[list[float]]]:
    batch = torch.tensor(images.features, dtype=torch.float32)
    if batch.ndim != 2 or batch.shape[1] != 784:
        raise HTTPException(422, "an image has 784 grey levels")
    with torch.inference_mode():
        scores = network(batch.to(DEVICE))
    return {"prediction": scores.cpu().tolist()}


@app.get("/device")
def device() -> dict[str, str]:
    """What it runs on; leave this as it is."""
    return {"device": DEVICE.type, "torch": torch.__version__, "cudart": cuda_runtime()}


def cuda_runtime() -> str:
    """The file of the image's own CUDA runtime library, named by its version, or why it can't be loaded."""
    try:
        ctypes.CDLL("libcudart.so.11.0")
    except OSError as error:
        return str(error)
    mapped = [line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines()]
    return next(Path(place).name for place in mapped if "libcudart.so.11" in place)


if __name__ == "__main__":
    uvicorn.run(app, host="0.0.0.0", port=int(os.environ.get("PORT", "8080")), log_level="warning")
