"""The dialects: how rows of numbers become a request, and an answer rows of numbers."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from labkit.load import Client, GrpcClient, HttpClient, Kind
from labkit.serving.deployment import Signature
from labkit.serving.protocols.messages import message_class

MODEL = "model"
"""The name under which every framework serves the model."""

Rows = NDArray[Any]


class Dialect(ABC):
    """One way of asking for predictions."""

    name: ClassVar[str]
    transport: ClassVar[str] = "http"
    path: ClassVar[str]
    says: ClassVar[str]
    """What it is, for people."""

    @abstractmethod
    def encode(self, rows: Rows, signature: Signature) -> bytes:
        """The request body for rows `(n, width)`."""

    @abstractmethod
    def decode(self, answer: bytes) -> Rows:
        """The rows `(n, outputs)` of an answer.

        Raises:
            ValueError: It holds none (or KeyError, TypeError: whatever reading it met).
        """

    def kind(self, name: str, **more: Any) -> Kind:
        """A request kind of a load in this dialect; `more` are arguments of `Kind`."""
        headers = {"content-type": "application/json"} if self.transport == "http" else {}
        return Kind(name=name, method="POST", path=self.path, headers=headers, **more)

    def client(self, url: str, kinds: list[Kind]) -> Client:
        """A load's client for these kinds."""
        return HttpClient(url, kinds) if self.transport == "http" else GrpcClient(url, kinds)


class _JsonDialect(Dialect):
    """Rows in JSON, under some name."""

    @abstractmethod
    def wrap(self, rows: list[Any], signature: Signature) -> Any:
        """The JSON value of a request."""

    @abstractmethod
    def unwrap(self, value: Any) -> Any:
        """The rows of an answer's JSON value."""

    def encode(self, rows: Rows, signature: Signature) -> bytes:
        return json.dumps(self.wrap(rows.tolist(), signature)).encode()

    def decode(self, answer: bytes) -> Rows:
        rows = np.array(self.unwrap(json.loads(answer)), dtype=np.float64)
        if rows.ndim != 2:
            raise ValueError(f"the answer has the shape {rows.shape}, not rows")
        return rows


class Features(_JsonDialect):
    """The JSON of this course's own servers."""

    name, path, says = "json", "/predict", "JSON of our own"

    def wrap(self, rows: list[Any], signature: Signature) -> Any:
        return {"features": rows}

    def unwrap(self, value: Any) -> Any:
        return value["prediction"]


class V1(_JsonDialect):
    """TensorFlow Serving's REST API, which KServe calls V1."""

    name, path, says = "v1", f"/v1/models/{MODEL}:predict", "TensorFlow Serving's REST API (V1)"

    def wrap(self, rows: list[Any], signature: Signature) -> Any:
        return {"instances": rows}

    def unwrap(self, value: Any) -> Any:
        return value["predictions"]


class V2(_JsonDialect):
    """The Open Inference Protocol over HTTP."""

    name, path, says = "v2", f"/v2/models/{MODEL}/infer", "Open Inference Protocol (V2) over HTTP"

    def wrap(self, rows: list[Any], signature: Signature) -> Any:
        flat = [number for row in rows for number in row]
        shape = [len(rows), len(rows[0])]
        return {"inputs": [{"name": "inputs", "shape": shape, "datatype": signature.datatype, "data": flat}]}

    def unwrap(self, value: Any) -> Any:
        output = value["outputs"][0]
        return np.array(output["data"], dtype=np.float64).reshape(output["shape"])


class Seldon(_JsonDialect):
    """Seldon Core 1's own protocol."""

    name, path, says = "seldon", "/api/v1.0/predictions", "Seldon Core 1's protocol"

    def wrap(self, rows: list[Any], signature: Signature) -> Any:
        return {"data": {"ndarray": rows}}

    def unwrap(self, value: Any) -> Any:
        return value["data"]["ndarray"]


class BentoML(_JsonDialect):
    """What a BentoML method of one array takes and gives."""

    name, path, says = "bentoml", "/predict", "BentoML's JSON"

    def wrap(self, rows: list[Any], signature: Signature) -> Any:
        return {"features": rows}

    def unwrap(self, value: Any) -> Any:
        return value


class TorchServeJson(_JsonDialect):
    """TorchServe's inference API: a body of its handler's choice, here rows in JSON."""

    name, path, says = "torchserve", f"/predictions/{MODEL}", "TorchServe's inference API"

    def wrap(self, rows: list[Any], signature: Signature) -> Any:
        return {"features": rows}

    def unwrap(self, value: Any) -> Any:
        return value["prediction"]


class TorchServeGrpc(TorchServeJson):
    """The same body within TorchServe's gRPC message."""

    name, transport, says = "torchserve-grpc", "grpc", "TorchServe's gRPC API"
    path = "/org.pytorch.serve.grpc.inference.InferenceAPIsService/Predictions"

    def encode(self, rows: Rows, signature: Signature) -> bytes:
        request = message_class("torchserve", "org.pytorch.serve.grpc.inference.PredictionsRequest")
        body = super().encode(rows, signature)
        wire: bytes = request(model_name=MODEL, input={"body": body}).SerializeToString()
        return wire

    def decode(self, answer: bytes) -> Rows:
        response = message_class("torchserve", "org.pytorch.serve.grpc.inference.PredictionResponse")
        return super().decode(response.FromString(answer).prediction)


class V2Grpc(Dialect):
    """The Open Inference Protocol over gRPC, the numbers as raw bytes."""

    name, transport, says = "grpc", "grpc", "Open Inference Protocol (V2) over gRPC"
    path = "/inference.GRPCInferenceService/ModelInfer"

    def encode(self, rows: Rows, signature: Signature) -> bytes:
        request = message_class("inference", "inference.ModelInferRequest")
        tensor = {"name": "inputs", "datatype": signature.datatype, "shape": list(rows.shape)}
        raw = np.ascontiguousarray(rows, dtype=signature.dtype).tobytes()
        wire: bytes = request(model_name=MODEL, inputs=[tensor], raw_input_contents=[raw]).SerializeToString()
        return wire

    def decode(self, answer: bytes) -> Rows:
        response = message_class("inference", "inference.ModelInferResponse").FromString(answer)
        output = response.outputs[0]
        if response.raw_output_contents:
            numbers = np.frombuffer(response.raw_output_contents[0], dtype=np.float32)
        else:
            numbers = np.array(output.contents.fp32_contents, dtype=np.float32)
        return numbers.astype(np.float64).reshape(list(output.shape))


DIALECTS: dict[str, Dialect] = {
    dialect.name: dialect
    for dialect in (Features(), V1(), V2(), V2Grpc(), Seldon(), BentoML(), TorchServeJson(), TorchServeGrpc())
}
"""All dialects by name."""
