"""Lets NumPy's exceptions speak for it: the client sees UNKNOWN."""

import asyncio
import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor

import grpc
import model_pb2
import model_pb2_grpc
import numpy as np
import torch
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from model import DigitClassifier
from prometheus_client import Counter, start_http_server
from safetensors.torch import load_file

PIXELS = 784
SLICE = 16  # images in one run of the model: a few milliseconds
MOST_IMAGES = 1024  # in one request
MOST_WAITING = {"small": 256, "large": 3}  # requests
SERVICE = model_pb2.DESCRIPTOR.services_by_name["Model"].full_name

CALLS = Counter("grpc_calls", "Calls of the model's methods by status code", ["method", "code"])


class Job:
    """A request's images and the scores that are there so far."""

    def __init__(self, images: np.ndarray) -> None:
        self.slices = deque(images[start : start + SLICE] for start in range(0, len(images), SLICE))
        self.scores: list[float] = []
        self.done = asyncio.get_running_loop().create_future()


class Full(Exception):
    """More requests wait than can be answered in time."""


class Scorer:
    """The network, one thread that runs it, and the requests that wait for it."""

    def __init__(self) -> None:
        torch.set_num_threads(1)
        self._network = DigitClassifier()
        self._network.load_state_dict(load_file("model.safetensors"))
        self._network.eval()
        self._thread = ThreadPoolExecutor(1)
        self._waiting: dict[str, deque[Job]] = {kind: deque() for kind in MOST_WAITING}
        self._arrived = asyncio.Event()

    async def score(self, images: np.ndarray) -> list[float]:
        """The scores, or `Full`; a cancelled caller takes its job along."""
        kind = "small" if len(images) <= SLICE else "large"
        queue = self._waiting[kind]
        if len(queue) >= MOST_WAITING[kind]:
            raise Full
        job = Job(images)
        queue.append(job)
        self._arrived.set()
        try:
            return await job.done
        finally:
            if job in queue:
                queue.remove(job)

    async def work(self) -> None:
        """Run slices for ever, those of small requests first."""
        loop = asyncio.get_running_loop()
        while True:
            queue = self._waiting["small"] or self._waiting["large"]
            if not queue:
                self._arrived.clear()
                await self._arrived.wait()
                continue
            job = queue[0]
            job.scores += await loop.run_in_executor(self._thread, self._run, job.slices.popleft())
            if not job.slices and not job.done.done():
                queue.remove(job)
                job.done.set_result(job.scores)

    def _run(self, images: np.ndarray) -> list[float]:
        with torch.inference_mode():
            return self._network(torch.from_numpy(images)).flatten().tolist()


class ModelService(model_pb2_grpc.ModelServicer):
    """The contract's methods."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer

    async def Predict(self, request, context):
        """Scores of all images of a request."""
        return await self._answer(request, context)

    async def PredictStream(self, requests, context):
        """A response for each request, as soon as it is known."""
        async for request in requests:
            yield await self._answer(request, context)

    async def _answer(self, request, context):
        images = np.frombuffer(request.images, dtype=np.uint8).reshape(-1, PIXELS).astype(np.float32)
        try:
            scores = await self._scorer.score(images)
        except Full:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many requests wait")
        return model_pb2.PredictionResponse(predictions=scores)


class CountCalls(grpc.aio.ServerInterceptor):
    """Counts the calls of the model's methods, however they end."""

    async def intercept_service(self, continuation, details):
        """Wrap the method that is about to be called."""
        handler = await continuation(details)
        _, service, method = details.method.split("/")
        if handler is None or service != SERVICE:
            return handler
        if handler.unary_unary:
            wrap, inner = grpc.unary_unary_rpc_method_handler, handler.unary_unary

            async def counted(request, context):
                with Counted(method, context):
                    return await inner(request, context)
        else:
            wrap, inner = grpc.stream_stream_rpc_method_handler, handler.stream_stream

            async def counted(request, context):
                with Counted(method, context):
                    async for response in inner(request, context):
                        yield response

        return wrap(counted, handler.request_deserializer, handler.response_serializer)


class Counted:
    """Counts one call when it ends."""

    def __init__(self, method: str, context: grpc.aio.ServicerContext) -> None:
        self._method, self._context = method, context

    def __enter__(self) -> None:
        """Nothing yet."""

    def __exit__(self, kind, error, trace) -> None:
        """Count it under its status code."""
        code = "OK"
        if kind is asyncio.CancelledError:
            code = "CANCELLED"
        elif kind is not None:
            code = getattr(self._context.code(), "name", "UNKNOWN")
        CALLS.labels(self._method, code).inc()


async def main() -> None:
    """Serve until the process is ended."""
    server = grpc.aio.server(interceptors=[CountCalls()])
    scorer = Scorer()
    worker = asyncio.create_task(scorer.work())
    model_pb2_grpc.add_ModelServicer_to_server(ModelService(scorer), server)
    state = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(state, server)
    reflection.enable_server_reflection([SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME], server)
    for name in ("", SERVICE):
        await state.set(name, health_pb2.HealthCheckResponse.SERVING)
    start_http_server(int(os.environ["METRICS_PORT"]), addr="127.0.0.1")
    server.add_insecure_port(f"127.0.0.1:{os.environ['PORT']}")
    await server.start()
    await server.wait_for_termination()
    worker.cancel()


if __name__ == "__main__":
    asyncio.run(main())
