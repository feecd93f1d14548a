"""A learner's gRPC server under judgement, and its contract."""

import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

import grpc
import httpx
import numpy as np
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from labkit.errors import WorkbookError, WorkFault
from labkit.isolation.relay import Relay
from labkit.serving import Endpoint, ScriptServer
from labkit.serving.script import free_port

SERVICE = "digits.v1.Model"
PREDICT = f"/{SERVICE}/Predict"
PREDICT_STREAM = f"/{SERVICE}/PredictStream"
HEALTH_CHECK = "/grpc.health.v1.Health/Check"
ANSWER_SECONDS = 5.0


def generate(proto: Path, into: Path) -> None:
    """Generate the Python code of a contract, as the notebook does.

    Raises:
        WorkbookError: The compiler refuses it.
    """
    places = [f"-I{proto.parent}", f"--python_out={into}", f"--grpc_python_out={into}"]
    _compile([*places, proto.name])


@cache
def messages(proto: Path) -> tuple[Any, Any]:
    """The classes of the contract's request and response, read from the contract itself."""
    described = proto.with_suffix(".descriptors")
    _compile([f"-I{proto.parent}", f"--descriptor_set_out={described}", proto.name])
    pool = DescriptorPool()
    for file in FileDescriptorSet.FromString(described.read_bytes()).file:
        pool.Add(file)
    request, response = (
        GetMessageClass(pool.FindMessageTypeByName(f"digits.v1.Prediction{kind}"))
        for kind in ("Request", "Response")
    )
    return request, response


def _compile(arguments: list[str]) -> None:
    # A process of its own each time: within one, protoc knows every file that it has seen for good.
    command = [sys.executable, "-m", "grpc_tools.protoc", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise WorkbookError(f"protoc refuses {arguments[-1]}.", why=done.stderr.strip()[:200])


class ModelService:
    """The gRPC server that `serve.py` in a folder makes, and what it answers.

    Args:
        folder: The learner's files, with the model and the generated code beside them.
        log: Where its output goes.
    """

    def __init__(self, folder: Path, *, log: Path) -> None:
        self.folder = folder
        self.metrics_port = free_port()
        self._server = ScriptServer(log=log, environment={"METRICS_PORT": str(self.metrics_port)})
        self._relays: dict[int, Relay] = {}
        self.endpoint: Endpoint | None = None
        self.channel: grpc.Channel | None = None
        self.request, self.response = messages(folder / "model.proto")

    def start(self) -> None:
        """Start it.

        Raises:
            WorkFault: It ended, or did not listen.
        """
        self.endpoint = self._server.start(self.folder)
        if self.endpoint.network is not None:
            for port in (self.endpoint.port, self.metrics_port):
                self._relays[port] = Relay(self.endpoint.network, port)
        relay = self._relays.get(self.endpoint.port)
        target = f"unix:{relay.path}" if relay else f"127.0.0.1:{self.endpoint.port}"
        self.channel = grpc.insecure_channel(target)

    def message(self, images: np.ndarray) -> bytes:
        """The serialised request for images `(images, 784)`."""
        wire: bytes = self.request(images=images.astype(np.uint8).tobytes()).SerializeToString()
        return wire

    def scores(self, wire: bytes) -> np.ndarray:
        """The scores `(images, 10)` of a serialised response; a ValueError if it holds none."""
        return np.array(self.response.FromString(wire).predictions, dtype=np.float64).reshape(-1, 10)

    def predict(self, wire: bytes, seconds: float = ANSWER_SECONDS) -> bytes:
        """One call of Predict; gives the serialised response.

        Raises:
            grpc.RpcError: It ended with another status than OK.
        """
        return self.start_predict(wire, seconds).result()  # type: ignore[no-any-return]

    def start_predict(self, wire: bytes, seconds: float) -> Any:
        """Start one call of Predict with that deadline; gives gRPC's future."""
        assert self.channel is not None
        return self.channel.unary_unary(PREDICT).future(wire, timeout=seconds)

    def predict_stream(self, wires: Iterable[bytes], seconds: float) -> Iterator[bytes]:
        """One call of PredictStream, its requests taken when the server asks for them."""
        assert self.channel is not None
        responses: Iterator[bytes] = self.channel.stream_stream(PREDICT_STREAM)(iter(wires), timeout=seconds)
        return responses

    def health(self, service: str) -> str:
        """What the standard health service says of a service, "SERVING" or else.

        Raises:
            WorkFault: There is no such service, or it does not know that name.
        """
        stub = health_pb2_grpc.HealthStub(self.channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=ANSWER_SECONDS)
        except grpc.RpcError as error:
            raise WorkFault(f"Health/Check of {service!r} ended with {said(error)}.") from error
        name: str = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
        return name

    def services(self) -> list[str]:
        """What the server's reflection lists.

        Raises:
            WorkFault: It has none.
        """
        try:
            return sorted(ProtoReflectionDescriptorDatabase(self.channel).get_services())
        except grpc.RpcError as error:
            raise WorkFault(f"The reflection service ended with {said(error)}.") from error

    def metrics(self) -> str:
        """The text of /metrics on METRICS_PORT.

        Raises:
            WorkFault: Nothing is there.
        """
        relay = self._relays.get(self.metrics_port)
        transport = httpx.HTTPTransport(uds=str(relay.path)) if relay else None
        try:
            with httpx.Client(transport=transport, trust_env=False, timeout=ANSWER_SECONDS) as client:
                answer = client.get(f"http://127.0.0.1:{self.metrics_port}/metrics")
        except httpx.HTTPError as error:
            raise WorkFault(
                "Nothing answers GET /metrics on the port in the variable METRICS_PORT.", why=f"{error}."
            ) from error
        if answer.status_code != 200:
            raise WorkFault(f"GET /metrics answered {answer.status_code}.")
        return answer.text

    def __enter__(self) -> "ModelService":
        """Nothing happens yet: `start` starts it."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the server."""
        if self.channel is not None:
            self.channel.close()
        for relay in self._relays.values():
            relay.close()
        self._server.close()


def said(error: grpc.RpcError) -> str:
    """The status of a failed call as people read it."""
    details = (error.details() or "").splitlines()
    return f"{error.code().name} ({details[0][:120]})" if details else str(error.code().name)


def counted(text: str) -> Mapping[str, float]:
    """Every counter of Prometheus' text format by its name and labels.

    Raises:
        WorkFault: It is not in that format.
    """
    from prometheus_client.parser import text_string_to_metric_families

    try:
        families = list(text_string_to_metric_families(text))
    except ValueError as error:
        raise WorkFault("GET /metrics is not in Prometheus' text format.", why=str(error)) from error
    return {
        f"{sample.name}{sorted(sample.labels.values())}": sample.value
        for family in families
        for sample in family.samples
        if sample.name.endswith(("_total", "_count"))
    }
