"""KServe's Python model server, once KFServing's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from labkit.serving.framework import FrameworkServer, Place


class KServeServer(FrameworkServer):
    """KServe with a custom Python model."""

    name = "kserve"
    title = "KServe"
    environment = "kserve"
    runs = "KServe's model server with a custom Python model (batching is a sidecar's work in a cluster)"
    protocols = ("v2", "v1", "grpc")
    batches = False
    scales = False
    everywhere = True
    programs = ("kserve_model.py",)

    def command(self, place: Place) -> Sequence[str | Path]:
        """The program takes KServe's own arguments."""
        return [
            *(place.python, "kserve_model.py", "--enable_docs_url=false", "--enable_latency_logging=false"),
            *(f"--http_port={place.ports['http']}", f"--grpc_port={place.ports['grpc']}", "--workers=1"),
        ]
