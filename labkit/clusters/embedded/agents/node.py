"""What a pod needs of the node that it is on."""

from __future__ import annotations

from typing import Any, Protocol

from labkit.clusters.embedded.agents.engine import Engine
from labkit.clusters.embedded.agents.volumes import Volumes
from labkit.clusters.embedded.api import Api

Object = dict[str, Any]


class Node(Protocol):
    """What a pod needs of its node.

    Attributes:
        api: The cluster's objects.
        engine: Where containers run.
        cluster: What its containers are labelled with.
        network: The engine's network of the pods.
        gateway: Where that network's pods reach this machine, and the cluster's names.
        pause: The image of the container that holds a pod's network.
        allocatable: What the node has.
    """

    api: Api
    engine: Engine
    cluster: str
    network: str
    gateway: str
    pause: str
    allocatable: Object

    def volumes(self, uid: str) -> Volumes:
        """The folders of a pod."""
        ...
