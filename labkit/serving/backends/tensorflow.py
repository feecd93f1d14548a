"""TensorFlow Serving: on no package index, only as a container image; its model is a SavedModel."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from labkit.engines import Container, connect
from labkit.errors import Unavailable, WorkFault
from labkit.serving.base import Endpoint
from labkit.serving.framework import FrameworkServer, Place
from labkit.serving.protocols import MODEL

IMAGE = "tensorflow/serving:2.19.1"
_DOCKERFILE = f"FROM {IMAGE}\nCOPY saved_model /models/{MODEL}\nENV MODEL_NAME={MODEL}\n"
_REST = 8501


class TensorFlowServingServer(FrameworkServer):
    """The real image, on the workbook's container engine, with `saved_model/1/` baked in."""

    name = "tensorflow-serving"
    title = "TensorFlow Serving"
    runs = f"the container image {IMAGE}"
    protocols = ("v1",)
    batches = False
    scales = False
    _container: Container | None = None

    @classmethod
    def lacks(cls) -> str:
        """Whether the image can be had is known only to the engine: `start` says."""
        return ""

    @classmethod
    def make_ready(cls) -> None:
        """Pull the image.

        Raises:
            Unavailable: No registry is in reach, or no engine.
        """
        try:
            connect().pull(IMAGE)
        except Unavailable as error:
            raise Unavailable(
                "TensorFlow Serving can't be had here.",
                why=f"It comes only as the image {IMAGE}: {error.what}",
                next_step="Use a machine with a container registry in reach.",
            ) from error

    def command(self, place: Place) -> Sequence[str | Path]:
        """The image knows."""
        return []

    def _start(self, model: Path, port: int | None) -> Endpoint:
        self.make_ready()
        if not (model / "saved_model" / "1").is_dir():
            raise WorkFault(
                f"There is no saved_model/1 in {model.name}.",
                why="TensorFlow Serving takes SavedModels, and no ONNX.",
                next_step="Export the model with TensorFlow.",
            )
        engine = connect()
        started = time.monotonic()
        context = self._temporary()
        shutil.copytree(model / "saved_model", context / "saved_model")
        (context / "Dockerfile").write_text(_DOCKERFILE)
        tag = "workbook-tensorflow-serving"
        engine.build(context, tag=tag)
        container = self._container = engine.run(tag, ports=[_REST])
        self._stack.callback(container.remove)
        container.wait_for_port(_REST, seconds=self.patience)
        url = container.url(_REST)
        pid = int(container.state()["Pid"])
        return Endpoint(url, int(url.rsplit(":", 1)[1]), pid, time.monotonic() - started, 0)
