"""A model server that saves digits."""

import asyncio
import hashlib
import json
import os
import zlib
from collections import OrderedDict, deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import onnxruntime
import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response

PIXELS = 784
MOST_IMAGES = 1024  # in one request
MOST_BATCH = 16  # images in one run of the model: beyond that, a run only takes longer
MOST_CACHED = 500  # images whose scores are kept
MOST_WAITING = 2048  # images: who comes then is told at once to come back
MOST_BYTES = 8 << 20  # of a body, unpacked
JSON, BINARY = "application/json", "application/octet-stream"


class Model:
    """One version of the model, loaded."""

    def __init__(self, version: str) -> None:
        content = Path(f"model-{version}.onnx").read_bytes()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.version = version
        self.digest = hashlib.sha256(content).digest()
        self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def run(self, images: list[bytes]) -> np.ndarray:
        """Scores `(images, 10)`."""
        pixels = np.frombuffer(b"".join(images), np.uint8).reshape(-1, PIXELS).astype(np.float32)
        (scores,) = self._session.run(None, {"images": pixels})
        return scores


class Reader:
    """The active model, the answers that it gave, and the images that wait for it."""

    def __init__(self) -> None:
        self.active = Model("1")
        self._known: OrderedDict[bytes, np.ndarray] = OrderedDict()
        self._underway: dict[bytes, asyncio.Future] = {}
        self._waiting: deque[tuple[Model, bytes, bytes]] = deque()
        self._arrived = asyncio.Event()
        self._thread = ThreadPoolExecutor(1)
        self._switching = asyncio.Lock()

    async def scores(self, images: list[bytes]) -> np.ndarray:
        """Scores `(images, 10)`, all of the version that was active when they were asked for."""
        if len(self._waiting) + len(images) > MOST_WAITING:
            raise HTTPException(503, "too many images are waiting", {"Retry-After": "1"})
        model = self.active
        return np.stack([await each for each in [self._lookup(model, image) for image in images]])

    def _lookup(self, model: Model, image: bytes) -> asyncio.Future:
        key = model.digest + hashlib.sha256(image).digest()
        if key in self._known:
            self._known.move_to_end(key)
            found = asyncio.get_running_loop().create_future()
            found.set_result(self._known[key])
            return found
        if key not in self._underway:
            self._underway[key] = asyncio.get_running_loop().create_future()
            self._waiting.append((model, image, key))
            self._arrived.set()
        return self._underway[key]

    async def work(self) -> None:
        """Run what waits, as many at a time as there are, for ever."""
        while True:
            if not self._waiting:
                self._arrived.clear()
                await self._arrived.wait()
            model, batch = self._waiting[0][0], []
            while self._waiting and self._waiting[0][0] is model and len(batch) < MOST_BATCH:
                batch.append(self._waiting.popleft())
            loop = asyncio.get_running_loop()
            computed = await loop.run_in_executor(self._thread, model.run, [image for _, image, _ in batch])
            for (_, _, key), scores in zip(batch, computed, strict=True):
                self._remember(key, scores.copy())  # not a view that keeps the whole batch
                asked = self._underway.pop(key)
                if not asked.done():  # the client may have gone
                    asked.set_result(scores)

    def _remember(self, key: bytes, scores: np.ndarray) -> None:
        self._known[key] = scores
        if len(self._known) > MOST_CACHED:
            self._known.popitem(last=False)

    async def switch(self, version: str) -> None:
        """Answer with that version from now on."""
        async with self._switching:
            try:
                self.active = await asyncio.to_thread(Model, version)
            except Exception as error:  # whatever a runtime says of a broken file: the old one stays
                raise HTTPException(409, f"version {version} can't be loaded: {error}") from error


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.reader = Reader()
    worker = asyncio.create_task(app.state.reader.work())
    yield
    worker.cancel()


app = FastAPI(lifespan=lifespan)


async def body_of(request: Request) -> bytes:
    """The body, unpacked; never more of it than is allowed."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            raise HTTPException(413, f"at most {MOST_BYTES} bytes")
    encoding = request.headers.get("content-encoding", "identity")
    if encoding == "identity":
        return bytes(body)
    if encoding != "gzip":
        raise HTTPException(415, "a body may be packed with gzip, or not at all")
    unpacker = zlib.decompressobj(wbits=31)
    try:
        unpacked = unpacker.decompress(body, MOST_BYTES)
    except zlib.error as error:
        raise HTTPException(400, f"the body is not gzip: {error}") from error
    if unpacker.unconsumed_tail:
        raise HTTPException(413, f"at most {MOST_BYTES} bytes, unpacked")
    if not unpacker.eof:
        raise HTTPException(400, "the body ends too early")
    return unpacked


def images_in(kind: str, body: bytes) -> list[bytes]:
    """The images of a body, 784 bytes each."""
    if kind == BINARY:
        pixels = body
    elif kind == JSON:
        pixels = pixels_in(body)
    else:
        raise HTTPException(415, f"send {JSON} or {BINARY}")
    if not pixels or len(pixels) % PIXELS:
        raise HTTPException(422, f"an image has {PIXELS} grey levels, and a request at least one image")
    if len(pixels) > MOST_IMAGES * PIXELS:
        raise HTTPException(413, f"at most {MOST_IMAGES} images")
    return [pixels[start : start + PIXELS] for start in range(0, len(pixels), PIXELS)]


def pixels_in(body: bytes) -> bytes:
    """The grey levels of a JSON body, as bytes."""
    try:
        levels = np.array(json.loads(body)["features"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise HTTPException(422, "send {'features': [[784 grey levels], ...]}") from error
    if levels.ndim != 2 or levels.shape[1] != PIXELS or levels.dtype.kind not in "iuf":
        raise HTTPException(422, f"every image has {PIXELS} numbers")
    if not ((levels >= 0) & (levels <= 255) & (levels == np.floor(levels))).all():
        raise HTTPException(422, "a grey level is a whole number from 0 to 255")
    return levels.astype(np.uint8).tobytes()


@app.post("/predict")
async def predict(request: Request):
    kind = request.headers.get("content-type", "").partition(";")[0].strip()
    body = await body_of(request)
    # A large body takes tens of milliseconds to parse: not in the event loop.
    images = images_in(kind, body) if len(body) < 50_000 else await asyncio.to_thread(images_in, kind, body)
    scores = await request.app.state.reader.scores(images)
    if kind == BINARY:
        return Response(scores.astype("<f2").astype("<f4").tobytes(), media_type=BINARY)
    return {"prediction": scores.tolist()}


@app.get("/model")
async def model(request: Request):
    return {"version": request.app.state.reader.active.version}


@app.put("/model")
async def switch(request: Request):
    try:
        version = json.loads(await request.body())["version"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise HTTPException(422, "send {'version': '2'}") from error
    # A name that comes from outside never becomes a path: only what is there can be chosen.
    known = {path.stem.removeprefix("model-") for path in Path().glob("model-*.onnx")}
    if not isinstance(version, str) or version not in known:
        raise HTTPException(404, f"there is no version {version!r}")
    await request.app.state.reader.switch(version)
    return {"version": version}


@app.get("/health")
async def health():
    return {"status": "alive"}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), log_level="warning")
