"""A namespace for one judging: the learner's manifests go in as a guest's, and all goes with it."""

from __future__ import annotations

import secrets
from contextlib import suppress
from types import TracebackType

from labkit.clusters.base import Cluster
from labkit.clusters.guarded import OPEN, kubeconfig_for_work, network_of
from labkit.clusters.kubectl import Kubectl
from labkit.errors import Unavailable, WorkbookError
from labkit.isolation.network import Network


class Namespace:
    """A namespace of its own, deleted at the end of its context with all that is in it.

    Args:
        cluster: Where.
        purpose: A word of its name.

    Attributes:
        owner: kubectl for what the check lays there.
        learner: kubectl for what the learner made.
        network: Where loads are sent from; None is this machine's own network.
    """

    def __init__(self, cluster: Cluster, purpose: str) -> None:
        self.name = f"check-{purpose}-{secrets.token_hex(3)}"
        self.owner = Kubectl(cluster.kubeconfig, self.name)
        self.learner = Kubectl(kubeconfig_for_work(cluster), self.name)
        self.network: Network | None = network_of(cluster)

    def __enter__(self) -> Namespace:
        """Make it."""
        metadata = {"name": self.name, "labels": OPEN}
        self.owner.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Delete it, and wait until its pods are gone."""
        with suppress(WorkbookError):  # a cluster that is gone has taken it along
            self.owner("delete", "namespace", self.name, "--timeout=60s")


def provide(cluster: Cluster, *images: str) -> None:
    """Let the cluster's pods run these images; one that takes them from a registry does so by itself."""
    if not cluster.capabilities.containers:
        raise Unavailable(
            "This cluster's pods run nothing: there is no engine for them here.",
            next_step="`workbook doctor` says what the engine needs.",
        )
    for image in images:
        with suppress(Unavailable):
            cluster.load_image(image)
