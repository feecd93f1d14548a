"""Triton Inference Server, as nvidia-pytriton bundles it, with its Python backend."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from labkit.environments import Environment
from labkit.serving.framework import PROGRAMS, FrameworkServer, Place
from labkit.serving.protocols import MODEL

REPOSITORY = "repository"
BACKENDS = "backends"
_CONFIGURATION = """\
name: "{model}"
backend: "python"
max_batch_size: {most}
input [{{ name: "inputs" data_type: TYPE_{datatype} dims: [{width}] }}]
output [{{ name: "outputs" data_type: TYPE_FP32 dims: [{outputs}] }}]
instance_group [{{ kind: KIND_CPU count: {workers} }}]
"""
_BATCHING = """\
dynamic_batching {{ preferred_batch_size: [{size}] max_queue_delay_microseconds: {delay} }}
"""


class TritonServer(FrameworkServer):
    """Triton's own server, started by itself (not through PyTriton)."""

    name = "triton"
    title = "Triton"
    environment = "triton"
    runs = "Triton 2.x with its Python backend (the bundle has no native runtime)"
    protocols = ("v2", "grpc")
    more_ports = ("metrics",)

    @property
    def _packages(self) -> Path:
        return next(Environment(self.environment).path.glob("lib/python3.*/site-packages"))

    def lay(self, place: Place) -> None:
        """A model repository, and the Python backend with the stub of this Python."""
        wanted, takes = self.deployment, self.signature
        model = place.folder / REPOSITORY / MODEL
        (model / "1").mkdir(parents=True)
        shutil.copyfile(PROGRAMS / "triton_model.py", model / "1" / "model.py")
        text = _CONFIGURATION.format(
            model=MODEL,
            most=1024,
            datatype=takes.datatype,
            width=takes.width,
            outputs=takes.outputs,
            workers=wanted.workers,
        )
        if wanted.batch_size > 1:
            text += _BATCHING.format(size=wanted.batch_size, delay=round(wanted.batch_delay_ms * 1000))
        (model / "config.pbtxt").write_text(text)
        bundle = self._packages / "pytriton" / "tritonserver"
        backend = place.folder / BACKENDS / "python"
        shutil.copytree(bundle / "backends" / "python", backend)
        version = self._packages.parent.name.removeprefix("python")
        stub = "triton_python_backend_stub"
        shutil.copy(bundle / "python_backend_stubs" / version / stub, backend / stub)

    def command(self, place: Place) -> Sequence[str | Path]:
        """HTTP, gRPC and metrics on loopback."""
        server = self._packages / "pytriton" / "tritonserver" / "bin" / "tritonserver"
        return [
            *(server, f"--model-repository={REPOSITORY}", f"--backend-directory={BACKENDS}"),
            *("--http-address=127.0.0.1", f"--http-port={place.ports['http']}"),
            *("--grpc-address=127.0.0.1", f"--grpc-port={place.ports['grpc']}"),
            *("--metrics-address=127.0.0.1", f"--metrics-port={place.ports['metrics']}"),
            *("--log-info=false", "--exit-on-error=true", "--disable-auto-complete-config"),
        ]

    def variables(self, place: Place) -> dict[str, str]:
        """Its libraries; the stub's interpreter finds the packages by the first `python3` on the path."""
        return {"LD_LIBRARY_PATH": str(self._packages / "nvidia_pytriton.libs")}
