"""Ray Serve."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from labkit.serving.framework import FrameworkServer, Place


class RayServeServer(FrameworkServer):
    """A Ray cluster of one machine with one application; Ray's own services listen on every address."""

    name = "ray"
    title = "Ray Serve"
    environment = "ray"
    runs = "a Ray cluster of this machine alone: proxy, controller and replicas are processes"
    protocols = ("json",)
    everywhere = True
    programs = ("ray_app.py",)

    def command(self, place: Place) -> Sequence[str | Path]:
        """The program is the driver of the cluster that it starts."""
        return [place.python, "ray_app.py"]

    def variables(self, place: Place) -> dict[str, str]:
        """It tells nobody."""
        return {
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_SERVE_LOG_TO_STDERR": "0",
            "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
            "PYTHONPATH": str(place.inside),
        }
