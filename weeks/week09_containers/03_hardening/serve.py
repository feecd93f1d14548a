"""The application that goes into the image: it reads handwritten digits. Leave it as it is.

It listens on the port in PORT, 8080 by default, and notes each request in the file that AUDIT_LOG names,
audit.log in its own folder by default.
"""

import base64
import hashlib
import json
import os
import time
from pathlib import Path

import numpy as np
import onnxruntime
import uvicorn
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

MODEL = Path("model.onnx")
SIGNATURE = Path("model.sig")
AUDIT_LOG = Path(os.environ.get("AUDIT_LOG", "audit.log"))

app = FastAPI()
session = onnxruntime.InferenceSession(MODEL)
signature = SIGNATURE.read_bytes()  # an unsigned model is not served
audit = AUDIT_LOG.open("a", buffering=1)


class Images(BaseModel):
    """Images of 28x28 grey levels from 0 to 255."""

    features: list[list[float]]


@app.post("/predict")
def predict(images: Images) -> dict[str, list[list[float]]]:
    batch = np.array(images.features, dtype=np.float32)
    if batch.ndim != 2 or batch.shape[1] != 784:
        raise HTTPException(422, "an image has 784 grey levels")
    scores = session.run(["scores"], {"images": batch})[0]
    audit.write(json.dumps({"time": time.time(), "images": len(batch)}) + "\n")
    return {"prediction": scores.tolist()}


@app.get("/health")
def health() -> dict[str, str]:
    return {"status": "alive"}


@app.get("/model")
def model() -> dict[str, str]:
    """Which model this is, and the signature that says who built it in."""
    return {
        "sha256": hashlib.sha256(MODEL.read_bytes()).hexdigest(),
        "signature": base64.b64encode(signature).decode(),
    }


if __name__ == "__main__":
    uvicorn.run(app, host="0.0.0.0", port=int(os.environ.get("PORT", "8080")), log_level="warning")
