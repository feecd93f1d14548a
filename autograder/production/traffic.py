"""Who asks a deployed service: people with usual images, one new client with inverted ones, and a tracer."""

from __future__ import annotations

import contextlib
import json
import threading
import uuid
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType

import httpx
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from labkit.load import HttpClient, Kind, Outcome, Recording
from labkit.models import models_folder

IMAGES = 60
NEW_CLIENT_SHARE = 0.05
TOLERANCE = 1e-3
TRACES_PER_SECOND = 2.0
TIMEOUT = 2.0


@dataclass(frozen=True)
class Traffic:
    """The requests, and what is right as an answer to each.

    Attributes:
        model: The folder with `model.onnx` and `reference.npz`.
    """

    model: Path | None = None

    @property
    def folder(self) -> Path:
        """Where the model lies."""
        return self.model or models_folder() / "digits"

    @cached_property
    def usual(self) -> NDArray[np.float32]:
        """Usual images: white ink on black; shape `(IMAGES, 784)`."""
        with np.load(self.folder / "reference.npz", allow_pickle=False) as reference:
            images: NDArray[np.float32] = reference["images"][:IMAGES].astype(np.float32)
            return images

    @cached_property
    def inverted(self) -> NDArray[np.float32]:
        """What the new client sends: black ink on white."""
        return np.float32(255) - self.usual

    @cached_property
    def expected(self) -> dict[bytes, NDArray[np.float32]]:
        """The right scores by request body."""
        session = onnxruntime.InferenceSession(str(self.folder / "model.onnx"))
        images = np.concatenate([self.usual, self.inverted])
        scores = session.run(["scores"], {"images": images})[0]
        return {body_of(image): row for image, row in zip(images, scores, strict=True)}

    def is_right(self, sent: bytes, answer: bytes) -> bool:
        """Whether the scores are those of the image, whoever named the digit."""
        given = np.array(json.loads(answer)["prediction"], dtype=np.float64)
        return given.shape == (1, 10) and bool(np.abs(given[0] - self.expected[sent]).max() <= TOLERANCE)

    def client(self, url: str) -> HttpClient:
        """All of them, as a load sends them."""
        header = {"Content-Type": "application/json"}

        def kind(name: str, share: float, images: NDArray[np.float32]) -> Kind:
            return Kind(
                name=name,
                share=share,
                method="POST",
                path="/predict",
                headers=header,
                bodies=[body_of(image) for image in images],
                check=self.is_right,
                timeout=TIMEOUT,
            )

        kinds = [
            kind("usual", 1 - NEW_CLIENT_SHARE, self.usual),
            kind("new client", NEW_CLIENT_SHARE, self.inverted),
        ]
        return HttpClient(url, kinds)

    def versions(self, recording: Recording) -> set[str]:
        """The versions that answered."""
        found = set()
        for answer in recording.answers:
            with contextlib.suppress(ValueError, TypeError, AttributeError):
                found.add(str(json.loads(answer).get("version")))
        return found

    def why(self, recording: Recording) -> str:
        """How the lost requests were lost."""
        lost = Counter(Outcome(each).words for each in recording.outcome.tolist() if each != Outcome.OK)
        return ", ".join(f"{count} {words}" for words, count in lost.most_common())


def body_of(image: NDArray[np.float32]) -> bytes:
    """The request of one image."""
    return json.dumps({"features": [image.tolist()]}).encode()


class Tracer:
    """Twice a second asks for one prediction under an id of its own, to be looked for in every log.

    Args:
        url: The service.
        traffic: What it asks.
    """

    def __init__(self, url: str, traffic: Traffic) -> None:
        self._url, self._body = url, body_of(traffic.usual[0])
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._trace, daemon=True)
        self.answered: list[str] = []
        """The ids of the requests that were answered, and named a label: they went through every hop."""

    def __enter__(self) -> Tracer:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""
        self._ended.set()
        self._thread.join(timeout=5)

    def _trace(self) -> None:
        with httpx.Client(trust_env=False, timeout=TIMEOUT) as client:
            while not self._ended.wait(1 / TRACES_PER_SECOND):
                request = f"trace-{uuid.uuid4().hex[:16]}"
                headers = {"X-Request-ID": request, "Content-Type": "application/json"}
                with contextlib.suppress(httpx.HTTPError, ValueError, AttributeError):
                    answer = client.post(f"{self._url}/predict", content=self._body, headers=headers)
                    if answer.status_code == 200 and answer.json().get("labels"):
                        self.answered.append(request)
