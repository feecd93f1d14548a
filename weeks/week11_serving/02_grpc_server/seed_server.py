"""The server that the notebook examines: it answers, and that is all it does.

Read it, run it, measure it; leave it as it is. Yours goes into serve.py.
"""

import os
from concurrent import futures

import grpc
import seed_model_pb2
import seed_model_pb2_grpc
import torch
from model import DigitClassifier
from safetensors.torch import load_file


class ModelService(seed_model_pb2_grpc.ModelServicer):
    def __init__(self):
        self.model = DigitClassifier()
        self.model.load_state_dict(load_file("model.safetensors"))
        self.model.eval()

    def Predict(self, request, context):
        features = torch.tensor(list(request.features)).reshape(-1, 784)
        with torch.no_grad():
            prediction = self.model(features)
        return seed_model_pb2.PredictionResponse(predictions=prediction.flatten().tolist())


if __name__ == "__main__":
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=10))
    seed_model_pb2_grpc.add_ModelServicer_to_server(ModelService(), server)
    server.add_insecure_port(f"127.0.0.1:{os.environ['PORT']}")
    server.start()
    server.wait_for_termination()
