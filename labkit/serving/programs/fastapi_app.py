"""FastAPI, with uvicorn, or for granian to run; as many processes as the deployment has workers."""

import asyncio
import json
from contextlib import asynccontextmanager

from batching import Batcher
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from serving import SETTINGS, BadInput, checked, field, load_handler

LARGE_BODY = 50_000
"""Bytes from which a body is parsed outside of the event loop: some twenty images."""


@asynccontextmanager
async def lifespan(app: FastAPI):
    """Load the model before the first request."""
    delay = SETTINGS["batch_delay_ms"] / 1000
    app.state.batcher = Batcher(load_handler().predict, SETTINGS["batch_size"], delay)
    yield


app = FastAPI(lifespan=lifespan)


def parse(body: bytes):
    """The rows of a body."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadInput("the body is not JSON") from error
    return checked(field(value, "features"))


@app.post("/predict")
async def predict(request: Request):
    """Answer the rows under `features` with those under `prediction`."""
    body = await request.body()
    try:
        rows = parse(body) if len(body) < LARGE_BODY else await asyncio.to_thread(parse, body)
    except BadInput as error:
        return JSONResponse({"detail": str(error)}, 422)
    answers = await request.app.state.batcher.predict(rows)
    if len(body) < LARGE_BODY:
        return JSONResponse({"prediction": answers.tolist()})
    return await asyncio.to_thread(lambda: JSONResponse({"prediction": answers.tolist()}))


@app.get("/health")
async def health():
    """Whether the process lives; it listens once the model is loaded."""
    return {"status": "alive"}


if __name__ == "__main__":
    import uvicorn

    uvicorn.run(
        "fastapi_app:app",
        host="127.0.0.1",
        port=SETTINGS["port"],
        workers=SETTINGS["workers"],
        log_level="warning",
    )
