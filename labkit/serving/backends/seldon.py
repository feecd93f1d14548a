"""Seldon Core 1's microservice, which its operator runs in a pod."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from labkit.serving.framework import FrameworkServer, Place


class SeldonServer(FrameworkServer):
    """The Python wrapper of Seldon Core 1: Flask behind gunicorn."""

    name = "seldon"
    title = "Seldon Core 1 microservice"
    environment = "seldon"
    runs = "seldon-core's microservice with a custom Python model, without the operator's router before it"
    protocols = ("seldon",)
    batches = False
    everywhere = True
    more_ports = ("metrics",)
    programs = ("ServedModel.py",)

    def command(self, place: Place) -> Sequence[str | Path]:
        """The class is found by the name of its module."""
        return [
            *(place.python, place.bin / "seldon-core-microservice", "ServedModel", "--service-type", "MODEL"),
            *("--http-port", str(place.ports["http"]), "--grpc-port", str(place.ports["grpc"])),
            *("--metrics-port", str(place.ports["metrics"]), "--workers", str(self.deployment.workers)),
            *("--log-level", "WARNING"),
        ]
