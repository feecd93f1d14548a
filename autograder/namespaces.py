"""A namespace for one judging: the learner's manifests go in as a guest's, and all goes with it."""

from __future__ import annotations

import secrets
import uuid
from contextlib import suppress
from types import TracebackType

import psutil

from labkit.clusters.base import Cluster
from labkit.clusters.guarded import OPEN, kubeconfig_for_work, network_of
from labkit.clusters.kubectl import Kubectl
from labkit.errors import Unavailable, WorkbookError
from labkit.isolation.network import Network

_OURS = {"workbook.check/machine": f"{uuid.getnode():x}"}
_PROCESS = "workbook.check/process"


def _me() -> str:
    """This process, told from a later one of the same number by when it began."""
    process = psutil.Process()
    return f"{process.pid}-{process.create_time():.0f}"


def _lives(process: str) -> bool:
    pid, _, began = process.partition("-")
    try:
        return f"{psutil.Process(int(pid)).create_time():.0f}" == began
    except (psutil.Error, ValueError):
        return False


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
        """Make it; those go that a check left here whose process was killed."""
        self._sweep()
        metadata = {"name": self.name, "labels": {**OPEN, **_OURS, _PROCESS: _me()}}
        self.owner.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        return self

    def _sweep(self) -> None:
        """Delete the namespaces of checks of this machine that are no more."""
        selector = ",".join(f"{name}={value}" for name, value in _OURS.items())
        for each in self.owner.get("namespaces", f"--selector={selector}")["items"]:
            if not _lives(each["metadata"]["labels"].get(_PROCESS, "")):
                self.owner("delete", "namespace", each["metadata"]["name"], "--wait=false")

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
