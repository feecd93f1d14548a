"""The server that the notebook examines: short, common in tutorials, and wrong in several ways.

Read it, run it, measure it; leave it as it is. Yours goes into serve.py.
"""

import os

import torch
import uvicorn
from fastapi import FastAPI

app = FastAPI()
# PyTorch 2.6 made weights_only=True the default, and with it this file would be refused:
# a whole pickled module is code. The server says that it trusts it.
model = torch.load("model.pt", weights_only=False)
model.eval()


@app.post("/predict")
async def predict(data: dict):
    input_tensor = torch.tensor(data["features"])
    with torch.no_grad():
        prediction = model(input_tensor)
    return {"prediction": prediction.tolist()}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), log_level="warning")
