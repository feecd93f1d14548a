"""What every model server offers, whatever it runs on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from labkit.isolation.network import Network


@dataclass(frozen=True)
class Endpoint:
    """Where a started server answers.

    Attributes:
        url: Its base address, `http://127.0.0.1:PORT` or `grpc://127.0.0.1:PORT`.
        port: The port on loopback.
        pid: The process at the head of the server's family.
        start_seconds: From the command until it was ready: a script when it first accepted a connection, a
            framework when it first answered a prediction.
        memory_bytes: Resident memory of the family then.
        protocol: What it speaks, `http` or `grpc`.
        network: The network that the address is in; None if that is this machine's own.
    """

    url: str
    port: int
    pid: int
    start_seconds: float
    memory_bytes: int
    protocol: str = "http"
    network: Network | None = None


class ModelServer(Protocol):
    """One framework that serves one model."""

    def start(self, model: Path, port: int | None = None) -> Endpoint:
        """Serve what lies in the folder `model`, on loopback, on a free port by default.

        Raises:
            WorkFault: The server ended, or did not listen in time.
        """
        ...

    def stop(self) -> None:
        """End the server and all that it started; harmless when it is not running."""
        ...
