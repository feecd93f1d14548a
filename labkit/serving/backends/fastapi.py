"""FastAPI, behind uvicorn or granian."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from labkit.serving.framework import FrameworkServer, Place


class FastAPIServer(FrameworkServer):
    """FastAPI behind uvicorn."""

    name = "fastapi"
    title = "FastAPI on uvicorn"
    runs = "a FastAPI application with a batcher of this course, on uvicorn"
    protocols = ("json",)
    programs = ("fastapi_app.py",)

    def command(self, place: Place) -> Sequence[str | Path]:
        """The program starts uvicorn itself."""
        return [place.python, "fastapi_app.py"]


class GranianServer(FastAPIServer):
    """The same application behind granian, whose HTTP is written in Rust."""

    name = "granian"
    title = "FastAPI on granian"
    environment = "granian"
    runs = "the same FastAPI application, on granian"

    def command(self, place: Place) -> Sequence[str | Path]:
        """As many processes as workers, each with an event loop of its own."""
        return [
            *(place.python, "-m", "granian", "--interface", "asgi", "--host", "127.0.0.1"),
            *("--port", str(place.ports["http"]), "--workers", str(self.deployment.workers)),
            *("--log-level", "warning", "fastapi_app:app"),
        ]
