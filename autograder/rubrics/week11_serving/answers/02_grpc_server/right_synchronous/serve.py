"""The synchronous gRPC API: threads wait, one of them runs the model, and each slice asks who still waits."""

import os
import threading
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

SERVICE = model_pb2.DESCRIPTOR.services_by_name["Model"].full_name
CALLS = Counter("model_calls", "Finished calls", ["code"])

torch.set_num_threads(1)
network = DigitClassifier()
network.load_state_dict(load_file("model.safetensors"))
network.eval()
model_thread = ThreadPoolExecutor(1)  # first come, first served: slices of all calls take turns
large_places = threading.BoundedSemaphore(3)


@torch.inference_mode()
def run(images):
    return network(torch.from_numpy(images)).flatten().tolist()


def score(images, context):
    scores = []
    for start in range(0, len(images), 16):
        if not context.is_active():
            context.abort(grpc.StatusCode.CANCELLED, "nobody waits")
        scores += model_thread.submit(run, images[start : start + 16]).result()
    return scores


class ModelService(model_pb2_grpc.ModelServicer):
    def Predict(self, request, context):
        size = len(request.images)
        if size == 0 or size % 784 or size > 784 * 1024:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "1 to 1024 images of 784 bytes")
        images = np.frombuffer(request.images, np.uint8).reshape(-1, 784).astype(np.float32)
        if len(images) <= 16:
            return model_pb2.PredictionResponse(predictions=score(images, context))
        if not large_places.acquire(blocking=False):
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "come back later")
        try:
            return model_pb2.PredictionResponse(predictions=score(images, context))
        finally:
            large_places.release()

    def PredictStream(self, requests, context):
        for request in requests:
            yield self.Predict(request, context)


class Count(grpc.ServerInterceptor):
    def intercept_service(self, continuation, details):
        handler = continuation(details)
        if handler is None or not handler.unary_unary or SERVICE not in details.method:
            return handler

        def counted(request, context):
            code = "OK"
            try:
                return handler.unary_unary(request, context)
            except Exception:
                code = context.code().name if context.code() else "UNKNOWN"
                raise
            finally:
                CALLS.labels(code).inc()

        return grpc.unary_unary_rpc_method_handler(
            counted, handler.request_deserializer, handler.response_serializer
        )


if __name__ == "__main__":
    server = grpc.server(ThreadPoolExecutor(max_workers=64), interceptors=[Count()])
    model_pb2_grpc.add_ModelServicer_to_server(ModelService(), server)
    state = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(state, server)
    reflection.enable_server_reflection([SERVICE, reflection.SERVICE_NAME], server)
    state.set(SERVICE, health_pb2.HealthCheckResponse.SERVING)
    start_http_server(int(os.environ["METRICS_PORT"]), addr="127.0.0.1")
    server.add_insecure_port(f"127.0.0.1:{os.environ['PORT']}")
    server.start()
    server.wait_for_termination()
