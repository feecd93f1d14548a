"""What `benchmarks.serving` measures: each protocol of each framework, and the references of two labs."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from autograder.answers import answers_of
from autograder.handouts import lay_handout
from autograder.loading import load_rubric
from autograder.rubrics.week11_serving.model_service import PREDICT, generate, messages
from labkit import environments
from labkit.course import find_course
from labkit.models.store import models_folder
from labkit.serving import Deployment, Endpoint, ScriptServer, backend, server_for
from labkit.serving.deployment import Signature
from labkit.serving.framework import memory_of
from labkit.serving.protocols import DIALECTS, Dialect
from labkit.serving.protocols.dialects import Rows
from labkit.serving.script import free_port

FASTAPI, GRPC = "week11/fastapi_server", "week11/grpc_server"


@dataclass(frozen=True)
class Model:
    """What is served, and what is asked of it.

    Attributes:
        folder: Holds `model.onnx`.
        rows: What single requests hold.
        answers: What they should get.
        signature: What the model takes.
        tolerance: How far an answer may be from what is right.
    """

    folder: Path
    rows: Rows
    answers: Rows
    signature: Signature = field(default_factory=Signature)
    tolerance: float = 1e-3


@dataclass(frozen=True)
class Served:
    """How a started server is asked, and what for."""

    dialect: Dialect
    model: Model


@dataclass(frozen=True)
class Candidate:
    """What is measured.

    Attributes:
        name: Of its row.
        deployment: How it is deployed; None for an answer of a lab.
        lab: The lab.
        answer: The answer of that lab that it is.
        variant: Of MiniLM, `fp32` or `int8`; empty for the digit classifier.
    """

    name: str
    deployment: Deployment | None = None
    lab: str = ""
    answer: str = ""
    variant: str = ""


def candidates() -> dict[str, Candidate]:
    """All rows, by name: each protocol of each framework, and with batching where there is some."""
    wanted = [
        *(("fastapi", "json"), ("granian", "json"), ("grpc", "grpc"), ("grpc-aio", "grpc")),
        *(("torchserve", "torchserve"), ("torchserve", "torchserve-grpc"), ("triton", "v2")),
        *(("triton", "grpc"), ("kserve", "v1"), ("kserve", "v2"), ("kserve", "grpc")),
        *(("mlserver", "v2"), ("mlserver", "grpc"), ("seldon", "seldon"), ("bentoml", "bentoml")),
        ("ray", "json"),
    ]
    found = [
        Candidate(f"{name} {protocol}", Deployment(framework=name, protocol=protocol))
        for name, protocol in wanted
    ]
    for name, protocol in (("fastapi", "json"), ("grpc-aio", "grpc"), ("triton", "grpc")):
        batching = Deployment(framework=name, protocol=protocol, batch_size=32, batch_delay_ms=1)
        found.append(Candidate(f"{name} {protocol} batching", batching))
    found += [
        Candidate("lab 11-01 reference", lab=FASTAPI, answer="reference"),
        Candidate("seed's server", lab=FASTAPI, answer="wrong_seed"),
        Candidate("lab 11-02 reference", lab=GRPC, answer="reference"),
    ]
    return {each.name: each for each in found}


def sentence_candidates() -> dict[str, Candidate]:
    """The rows of the sentence embedder: what batching and INT8 bring, over HTTP and gRPC."""
    found = {}
    for variant in ("fp32", "int8"):
        for batch_size, said in ((1, ""), (16, " batching")):
            for framework, protocol in (("fastapi", "json"), ("triton", "grpc")):
                deployment = Deployment(
                    framework=framework,
                    protocol=protocol,
                    batch_size=batch_size,
                    batch_delay_ms=1 if batch_size > 1 else 0,
                )
                name = f"{framework} {protocol}, MiniLM {variant}{said}"
                found[name] = Candidate(name, deployment, variant=variant)
    return found


def digits() -> Model:
    """The digit classifier and images that it has never seen."""
    folder = models_folder() / "digits"
    with np.load(folder / "reference.npz", allow_pickle=False) as reference:
        return Model(folder, reference["images"][:100].astype(np.float32), reference["scores"][:100])


def sentences(variant: str) -> Model:
    """MiniLM in one of its variants, and sentences of this course's own pages.

    Dynamic INT8 takes its scale from whatever is computed together, so its answers depend a little on that.
    """
    folder = models_folder() / "minilm"
    if not (folder / "rows.npz").is_file():
        _export(folder)
    with np.load(folder / "rows.npz", allow_pickle=False) as arrays:
        rows, answers = arrays["rows"], arrays[variant]
    signature = Signature(width=rows.shape[1], datatype="INT64", outputs=answers.shape[1])
    return Model(folder / variant, rows, answers, signature, 0.1 if variant == "int8" else 1e-3)


def _export(folder: Path) -> None:
    """Lay MiniLM out as ONNX, in the environment that has it."""
    environment = environments.ensure("minilm")
    pages = sorted((find_course().root / "docs").glob("*.md"))
    lines = [line for page in pages for line in page.read_text(encoding="utf-8").splitlines()]
    texts = [line for line in lines if len(line) > 100 and not line.startswith(("|", "!", "<"))][:64]
    with tempfile.TemporaryDirectory() as scratch:
        told = Path(scratch) / "texts.json"
        told.write_text(json.dumps(texts))
        export = [environment.python, Path(__file__).with_name("minilm_export.py"), folder, told]
        subprocess.run([str(part) for part in export], check=True)


class LabContract(Dialect):
    """The contract of lab 11-02: grey levels as bytes, scores as floats.

    Args:
        proto: The contract's file.
    """

    name, transport, says = "lab-grpc", "grpc", "the contract of lab 11-02"
    path = PREDICT

    def __init__(self, proto: Path) -> None:
        self._request, self._response = messages(proto)

    def encode(self, rows: Rows, signature: Signature) -> bytes:
        """The request's message."""
        wire: bytes = self._request(images=rows.astype(np.uint8).tobytes()).SerializeToString()
        return wire

    def decode(self, answer: bytes) -> Rows:
        """The rows of a response's message."""
        return np.array(self._response.FromString(answer).predictions, dtype=np.float64).reshape(-1, 10)


@contextmanager
def started(candidate: Candidate) -> Iterator[tuple[Endpoint, Served]]:
    """The row's server, started, and how it is asked."""
    if candidate.deployment is None:
        with _answer_of(candidate) as (endpoint, dialect):
            yield endpoint, Served(dialect, digits())
        return
    model = sentences(candidate.variant) if candidate.variant else digits()
    backend(candidate.deployment.framework).make_ready()
    with server_for(candidate.deployment, signature=model.signature) as server:
        yield server.start(model.folder), Served(server.dialect, model)


@contextmanager
def _answer_of(candidate: Candidate) -> Iterator[tuple[Endpoint, Dialect]]:
    """An answer of a lab, started as a learner starts it."""
    lab = find_course().lab(candidate.lab)
    answer = next(each for each in answers_of(load_rubric(lab)) if each.name == candidate.answer)
    script = ScriptServer(environment={"METRICS_PORT": str(free_port())})
    with tempfile.TemporaryDirectory() as scratch, script:
        folder = Path(scratch) / lab.name
        lay_handout(lab, folder)
        answer.lay(Path(scratch))
        dialect = DIALECTS["json"]
        if candidate.lab == GRPC:
            generate(folder / "model.proto", folder)
            dialect = LabContract(folder / "model.proto")
        endpoint = script.start(folder)
        assert script.process is not None
        memory = memory_of(script.process)
        settings = {**vars(endpoint), "memory_bytes": memory}
        if candidate.lab == GRPC:
            settings |= {"url": f"grpc://127.0.0.1:{endpoint.port}", "protocol": "grpc"}
        yield Endpoint(**settings), dialect
