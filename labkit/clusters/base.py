"""What every cluster offers, whatever it runs on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from labkit.verdicts import Tier


@dataclass(frozen=True)
class Capabilities:
    """What can be done on a cluster.

    Attributes:
        tier: How real what is measured on it is.
        containers: Whether its pods are real containers.
        metrics: Whether it serves `metrics.k8s.io`.
        apply_on_server: Whether it knows server-side apply.
    """

    tier: Tier
    containers: bool
    metrics: bool
    apply_on_server: bool


class Cluster(Protocol):
    """A Kubernetes API that labs and checks talk to through a kubeconfig."""

    name: str
    """The backend's name: `embedded`, `kubeconfig`."""

    @property
    def kubeconfig(self) -> Path:
        """The file that kubectl and the clients take."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What can be done on it."""
        ...

    def up(self) -> bool:
        """Start it unless it runs; gives whether it was started.

        Raises:
            Unavailable: It can't run here, or does not answer.
        """
        ...

    def down(self, *, purge: bool = False) -> bool:
        """Stop it, with `purge` forget it; gives whether there was anything to stop.

        A cluster that somebody else started is left alone.
        """
        ...

    def load_image(self, tag: str) -> None:
        """Make an image of this machine's engine known to it.

        Raises:
            Unavailable: It has no way to take one.
        """
        ...
