"""MLServer, which Seldon Core 2 and KServe run for scikit-learn and others."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from labkit.serving.framework import FrameworkServer, Place
from labkit.serving.protocols import MODEL


class MLServerServer(FrameworkServer):
    """MLServer with a custom Python model and its adaptive batching."""

    name = "mlserver"
    title = "MLServer (Seldon Core 2)"
    environment = "mlserver"
    runs = "MLServer with a custom Python model, by Seldon Core 2's protocol"
    protocols = ("v2", "grpc")
    more_ports = ("metrics",)
    programs = ("mlserver_model.py",)

    def lay(self, place: Place) -> None:
        """Its two files of settings."""
        wanted = self.deployment
        server = {
            "debug": False,
            "host": "127.0.0.1",
            "http_port": place.ports["http"],
            "grpc_port": place.ports["grpc"],
            "metrics_port": place.ports["metrics"],
            # 0 runs the model in the server's own process; from 1 on, in so many beside it.
            "parallel_workers": wanted.workers if wanted.workers > 1 else 0,
            "use_structured_logging": False,
            "environments_dir": str(place.inside / "environments"),
            "metrics_dir": str(place.inside),
        }
        model: dict[str, str | int | float] = {
            "name": MODEL,
            "implementation": "mlserver_model.ServedModel",
        }
        if wanted.batch_size > 1:
            # A time of zero would switch batching off.
            delay = max(wanted.batch_delay_ms, 0.1) / 1000
            model |= {"max_batch_size": wanted.batch_size, "max_batch_time": delay}
        (place.folder / "settings.json").write_text(json.dumps(server))
        (place.folder / "model-settings.json").write_text(json.dumps(model))

    def command(self, place: Place) -> Sequence[str | Path]:
        """It finds its settings in the folder."""
        return [place.python, place.bin / "mlserver", "start", "."]
