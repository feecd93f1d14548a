"""A model server on aiohttp. Whoever comes first opens a window of three milliseconds for others to join."""

import asyncio
import gzip
import io
import json
import os
from collections import OrderedDict

import numpy as np
import onnxruntime
from aiohttp import web

WINDOW = 0.003  # seconds
LARGEST = 32  # images in one run
KEPT = 450  # images
BODY = 8 << 20  # bytes, unpacked
VERSIONS = {"1": "model-1.onnx", "2": "model-2.onnx"}


class Version:
    """A session, and the memory of its own answers: with the version its memory goes."""

    def __init__(self, name):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.name = name
        self.session = onnxruntime.InferenceSession(
            VERSIONS[name], options, providers=["CPUExecutionProvider"]
        )
        self.memory = OrderedDict()
        self.queue = asyncio.Queue()
        self.worker = asyncio.create_task(self.work())

    async def scores(self, image):
        if image in self.memory:
            self.memory.move_to_end(image)
            return self.memory[image]
        answer = asyncio.get_running_loop().create_future()
        self.queue.put_nowait((image, answer))
        return await answer

    async def work(self):
        loop = asyncio.get_running_loop()
        while True:
            batch = [await self.queue.get()]
            closes = loop.time() + WINDOW
            while len(batch) < LARGEST:
                try:
                    async with asyncio.timeout_at(closes):
                        batch.append(await self.queue.get())
                except TimeoutError:
                    break
            rows = await asyncio.to_thread(self.run, [image for image, _ in batch])
            for (image, answer), row in zip(batch, rows, strict=True):
                self.memory[image] = row.copy()
                if not answer.done():
                    answer.set_result(row)
            while len(self.memory) > KEPT:
                self.memory.popitem(last=False)

    def run(self, images):
        pixels = np.stack([np.frombuffer(image, np.uint8) for image in images])
        return self.session.run(None, {"images": pixels.astype(np.float32)})[0]


def refuse(status, why):
    return web.json_response({"detail": why}, status=status)


def unpacked(body, encoding):
    """The body, or None if it is larger than allowed."""
    if encoding == "identity":
        return body
    with gzip.GzipFile(fileobj=io.BytesIO(body)) as file:
        opened = file.read(BODY + 1)
    return opened if len(opened) <= BODY else None


def images_of_json(body):
    images = json.loads(body)["features"]
    for image in images:
        if any(type(level) is not int for level in image):
            raise ValueError("a grey level is a whole number")
    return [bytes(image) for image in images]  # refuses what is not from 0 to 255


async def predict(request):
    body = await request.read()
    encoding = request.headers.get("Content-Encoding", "identity")
    if encoding not in ("identity", "gzip"):
        return refuse(415, "gzip or nothing")
    try:
        body = unpacked(body, encoding)
        if body is None:
            return refuse(413, "too large inside")
        if request.content_type == "application/json":
            images = await asyncio.to_thread(images_of_json, body)
        elif request.content_type == "application/octet-stream":
            images = [body[start : start + 784] for start in range(0, len(body), 784)]
        else:
            return refuse(415, "JSON or bytes")
    except (ValueError, KeyError, TypeError, OSError, EOFError) as error:
        return refuse(422, str(error))
    if not 1 <= len(images) <= 1024 or any(len(image) != 784 for image in images):
        return refuse(422, "1 to 1,024 images of 784 grey levels")
    version = request.app["active"][0]
    rows = np.stack(await asyncio.gather(*(version.scores(image) for image in images)))
    if request.content_type == "application/octet-stream":
        return web.Response(body=rows.astype(np.float32).tobytes(), content_type="application/octet-stream")
    return web.json_response({"prediction": rows.tolist()})


async def get_model(request):
    return web.json_response({"version": request.app["active"][0].name})


async def put_model(request):
    try:
        name = (await request.json())["version"]
    except (ValueError, KeyError, TypeError):
        return refuse(422, "which version?")
    if name not in ("1", "2"):
        return refuse(404, "no such version")
    request.app["active"][0] = Version(name)  # the old one ends with the last request that it answers
    return web.json_response({"version": name})


async def health(request):
    return web.json_response({"status": "alive"})


async def main():
    app = web.Application(client_max_size=BODY)
    app["active"] = [Version("1")]
    app.add_routes([web.post("/predict", predict), web.get("/health", health)])
    app.add_routes([web.get("/model", get_model), web.put("/model", put_model)])
    runner = web.AppRunner(app, auto_decompress=False)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(os.environ["PORT"])).start()
    await asyncio.Event().wait()


asyncio.run(main())
