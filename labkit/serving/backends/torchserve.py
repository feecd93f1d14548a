"""TorchServe: a Java frontend, and Python workers behind it."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path

from labkit import debian
from labkit.errors import Unavailable
from labkit.serving.framework import PROGRAMS, FrameworkServer, Place
from labkit.serving.protocols import MODEL

STORE = "store"
ARCHIVE = f"{MODEL}.mar"
"""What `torch-model-archiver` makes: a zip file with a manifest."""
_CONFIGURATION = """\
inference_address=http://127.0.0.1:{http}
management_address=http://127.0.0.1:{management}
metrics_address=http://127.0.0.1:{metrics}
grpc_inference_address=127.0.0.1
grpc_management_address=127.0.0.1
grpc_inference_port={grpc}
grpc_management_port={grpc_management}
disable_token_authorization=true
disable_system_metrics=true
enable_envvars_config=false
model_store={store}
load_models={archive}
models={models}
vmargs=-Xmx512m
max_request_size=67108864
"""
_LOGGING = """\
<?xml version="1.0" encoding="UTF-8"?>
<Configuration>
  <Appenders><Console name="console"><PatternLayout pattern="%d %p %m%n"/></Console></Appenders>
  <Loggers><Root level="warn"><AppenderRef ref="console"/></Root></Loggers>
</Configuration>
"""
"""Warnings alone: as it comes, TorchServe writes a line or more for each request."""


class TorchServeServer(FrameworkServer):
    """TorchServe with one model and its own batching."""

    name = "torchserve"
    title = "TorchServe"
    environment = "torchserve"
    runs = "TorchServe's Java frontend, Python workers with a handler of this course"
    protocols = ("torchserve", "torchserve-grpc")
    more_ports = ("management", "metrics", "grpc_management")

    @classmethod
    def lacks(cls) -> str:
        """Java comes from Debian, the rest from its environment."""
        return super().lacks() or ("" if shutil.which("java") else "Java (openjdk-17-jre-headless)")

    @classmethod
    def make_ready(cls) -> None:
        """Make its environment, and install Java where there is none."""
        super().make_ready()
        if not shutil.which("java"):
            debian.ensure("java")
        if not shutil.which("java"):
            raise Unavailable(
                "TorchServe needs Java.",
                next_step=f"To install: {debian.command_for(['openjdk-17-jre-headless'], debian.Machine())}",
            )

    def lay(self, place: Place) -> None:
        """A model store with one archive, and the configuration."""
        (place.folder / STORE).mkdir()
        handler = "torchserve_handler.py"
        manifest = {
            "runtime": "python",
            "archiverVersion": "0.12.0",
            "model": {"modelName": MODEL, "modelVersion": "1.0", "handler": handler},
        }
        with zipfile.ZipFile(place.folder / STORE / ARCHIVE, "w") as archive:
            archive.write(PROGRAMS / handler, handler)
            archive.writestr("MAR-INF/MANIFEST.json", json.dumps(manifest))
        wanted = self.deployment
        settings = {
            "defaultVersion": True,
            "marName": ARCHIVE,
            "minWorkers": wanted.workers,
            "maxWorkers": wanted.workers,
            "batchSize": wanted.batch_size,
            "maxBatchDelay": round(wanted.batch_delay_ms) if wanted.batch_size > 1 else 0,
            "responseTimeout": 60,
        }
        (place.folder / "config.properties").write_text(
            _CONFIGURATION.format(
                **place.ports,
                store=place.inside / STORE,
                archive=ARCHIVE,
                models=json.dumps({MODEL: {"1.0": settings}}),
            )
        )
        (place.folder / "log4j2.xml").write_text(_LOGGING)

    def command(self, place: Place) -> Sequence[str | Path]:
        """In the foreground: its own `--stop` returns before the processes are gone."""
        return [
            *(place.python, place.bin / "torchserve", "--start", "--foreground", "--ncs"),
            *(
                "--ts-config",
                "config.properties",
                "--log-config",
                "log4j2.xml",
                "--model-store",
                place.inside / STORE,
            ),
            "--disable-token-auth",
        ]

    def variables(self, place: Place) -> dict[str, str]:
        """Where its sockets and its pid file lie: two servers at a time must not share them."""
        return {} if self.guard.isolation.sandboxed else {"TEMP": str(place.inside)}
