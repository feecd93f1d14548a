"""gRPC's own Python server, synchronous with threads or asynchronous, under the Open Inference Protocol."""

import asyncio
import sys
from concurrent import futures

import grpc
import numpy as np
from batching import Batcher
from grpc_health.v1 import health, health_pb2_grpc
from serving import SETTINGS, BadInput, checked, load_handler

messages, services = grpc.protos_and_services("inference.proto")
ADDRESS = f"127.0.0.1:{SETTINGS['grpc_port']}"
OPTIONS = [("grpc.max_receive_message_length", 64 << 20), ("grpc.so_reuseport", 0)]


def rows_of(request) -> np.ndarray:
    """The rows of a request."""
    if len(request.inputs) != 1:
        raise BadInput("one input is expected")
    tensor = request.inputs[0]
    dtype = SETTINGS["dtype"]
    if request.raw_input_contents:
        raw = request.raw_input_contents[0]
        if len(raw) % np.dtype(dtype).itemsize:
            raise BadInput("the raw contents are no whole numbers")
        flat = np.frombuffer(raw, dtype=dtype)
    else:
        contents = tensor.contents.fp32_contents or tensor.contents.int64_contents
        flat = np.array(contents, dtype=dtype)
    if len(tensor.shape) != 2 or min(tensor.shape) < 1 or int(np.prod(tensor.shape)) != len(flat):
        raise BadInput(f"the shape {list(tensor.shape)} does not hold {len(flat)} numbers")
    return checked(flat.reshape(list(tensor.shape)))


def response_of(answers: np.ndarray):
    """The response that holds these rows."""
    tensor = {"name": "outputs", "datatype": "FP32", "shape": list(answers.shape)}
    raw = np.ascontiguousarray(answers, dtype=np.float32).tobytes()
    return messages.ModelInferResponse(model_name="model", outputs=[tensor], raw_output_contents=[raw])


class States(services.GRPCInferenceServiceServicer):
    """What both servers answer alike."""

    def ServerLive(self, request, context):
        """Alive."""
        return messages.ServerLiveResponse(live=True)

    def ServerReady(self, request, context):
        """Ready: it listens once the model is loaded."""
        return messages.ServerReadyResponse(ready=True)

    def ModelReady(self, request, context):
        """Ready."""
        return messages.ModelReadyResponse(ready=True)


class Synchronous(States):
    """Each call has a thread; they take turns with the model."""

    def __init__(self) -> None:
        self._handler = load_handler()

    def ModelInfer(self, request, context):
        """Predict."""
        try:
            rows = rows_of(request)
        except BadInput as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        return response_of(self._handler.predict(rows))


class Asynchronous(States):
    """One event loop, and one thread that runs the model."""

    def __init__(self) -> None:
        delay = SETTINGS["batch_delay_ms"] / 1000
        self._batcher = Batcher(load_handler().predict, SETTINGS["batch_size"], delay)

    async def ModelInfer(self, request, context):
        """Predict."""
        try:
            rows = rows_of(request)
        except BadInput as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        return response_of(await self._batcher.predict(rows))


def serve_synchronously() -> None:
    """Serve with threads."""
    server = grpc.server(futures.ThreadPoolExecutor(8), options=OPTIONS)
    services.add_GRPCInferenceServiceServicer_to_server(Synchronous(), server)
    health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(), server)
    server.add_insecure_port(ADDRESS)
    server.start()
    server.wait_for_termination()


async def serve_asynchronously() -> None:
    """Serve in an event loop."""
    server = grpc.aio.server(options=OPTIONS)
    services.add_GRPCInferenceServiceServicer_to_server(Asynchronous(), server)
    health_pb2_grpc.add_HealthServicer_to_server(health.aio.HealthServicer(), server)
    server.add_insecure_port(ADDRESS)
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    if sys.argv[1] == "aio":
        asyncio.run(serve_asynchronously())
    else:
        serve_synchronously()
