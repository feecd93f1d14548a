"""gRPC's own Python servers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from labkit.serving.framework import FrameworkServer, Place


class GrpcAioServer(FrameworkServer):
    """grpc.aio: an event loop, and a thread that runs the model."""

    name = "grpc-aio"
    title = "gRPC, asynchronous"
    runs = "grpc.aio with a batcher of this course"
    protocols = ("grpc",)
    programs = ("grpc_server.py",)
    scales = False

    def command(self, place: Place) -> Sequence[str | Path]:
        """The program."""
        return [place.python, "grpc_server.py", "aio"]


class GrpcServer(GrpcAioServer):
    """grpc.server: a thread for each call that is worked on."""

    name = "grpc"
    title = "gRPC, synchronous"
    runs = "grpc.server with eight threads"
    batches = False

    def command(self, place: Place) -> Sequence[str | Path]:
        """The program."""
        return [place.python, "grpc_server.py", "sync"]
