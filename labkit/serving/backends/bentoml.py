"""BentoML."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from labkit.serving.framework import FrameworkServer, Place


class BentoMLServer(FrameworkServer):
    """A BentoML service with its adaptive batching, which sets the delay by itself."""

    name = "bentoml"
    title = "BentoML"
    environment = "bentoml"
    runs = "a BentoML service; its batching sets the delay by itself"
    protocols = ("bentoml",)
    programs = ("bentoml_service.py",)

    def command(self, place: Place) -> Sequence[str | Path]:
        """In production mode, on loopback."""
        return [
            *(place.python, place.bin / "bentoml", "serve", "bentoml_service:ServedModel"),
            *("--host", "127.0.0.1", "--port", str(place.ports["http"])),
        ]

    def variables(self, place: Place) -> dict[str, str]:
        """It tells nobody, and keeps its files where they go away."""
        return {
            "BENTOML_DO_NOT_TRACK": "True",
            "BENTOML_HOME": str(place.inside / "bentoml"),
            "BENTOML_CONFIG_OPTIONS": "api_server.logging.access.enabled=false",
        }
