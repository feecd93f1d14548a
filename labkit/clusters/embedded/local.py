"""This machine as a node of the cluster: its engine for pods, its loopback for Services, its gateway for names."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import secrets
import socket
from pathlib import Path

import docker
import docker.errors
import requests.exceptions

from labkit.clusters.embedded.addresses import Addresses
from labkit.clusters.embedded.agents.container import ContainerNode
from labkit.clusters.embedded.agents.creation import CLUSTER
from labkit.clusters.embedded.agents.engine import Engine
from labkit.clusters.embedded.api import Api
from labkit.clusters.embedded.network import places
from labkit.clusters.embedded.network.dns import Names, NameServer
from labkit.clusters.embedded.network.services import Services
from labkit.clusters.embedded.state import Place
from labkit.clusters.embedded.store import Store
from labkit.clusters.embedded.streams.pods import Streams
from labkit.engines import machine
from labkit.engines.base import Engine as AnyEngine
from labkit.engines.choice import connect
from labkit.errors import Unavailable, WorkbookError

_LOG = logging.getLogger(__name__)


class LocalNode:
    """All that makes pods real.

    Args:
        folder: The cluster's own folder.
        place: What the cluster notes of itself; its name and its range are added.
        store: Its objects.
        volumes: Where pods' volumes lie; in the cluster's own folder by default.

    Raises:
        Unavailable: No range of addresses is free.
    """

    def __init__(self, folder: Path, place: Place, store: Store, volumes: Path | None = None) -> None:
        self._volumes = volumes or folder
        self._name = place.setdefault("cluster", secrets.token_hex(4))
        self._engine = Engine(place["engine"])
        network = _claimed(folder, place)
        place["services"] = str(network)
        self.addresses = Addresses(str(network), places.first_port(network), _is_free)
        self.streams = Streams(self._engine)
        self._there = asyncio.Event()

    def join(self, api: Api) -> ContainerNode:
        """Become a node of a cluster; `run` does its work."""
        self._services = Services(api)
        self._server = NameServer(Names(api))
        self._node = ContainerNode(api, self._volumes, self._engine, self._name, self._joined)
        return self._node

    async def run(self) -> None:
        """Go on until cancelled."""
        try:
            await asyncio.gather(self._node.run(), self._services.run())
        finally:
            self._server.close()

    async def until_ready(self, seconds: float) -> None:
        """Wait until its engine has been found, but not longer."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._there.wait(), seconds)

    async def _joined(self, gateway: str, pods: str) -> None:
        self._there.set()
        self._services.join(pods)
        try:
            await self._server.listen(gateway)
        except OSError as error:
            _LOG.error("nothing can answer for names on %s: %s", gateway, error)


def _claimed(folder: Path, place: Place) -> places.Network:
    """The range that the cluster had, or a new one."""
    if known := place.get("services"):
        network = ipaddress.IPv4Network(known)
        if places.claimed(network) or places.claim(network):
            return network
    for network in places.candidates(folder):
        if not places.claimed(network) and places.claim(network):
            return network
    raise Unavailable(f"No range of {places.ALL} is free for the cluster's Services.")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def engine_for_pods() -> AnyEngine:
    """The engine of this machine that pods can run on, started if need be.

    Raises:
        WorkbookError: There is none; the message says why.
    """
    if why := machine.lacks():
        raise Unavailable("Pods can't be containers here.", why=why[0], next_step=why[1])
    engine = connect("auto")
    about = engine.about()
    if not about.address.startswith("unix://") or "Docker" not in about.name:
        raise Unavailable(
            "Pods can't be containers here.", why=f"The engine is {about.name} at {about.address}."
        )
    if not about.bridge:
        raise Unavailable("Pods can't be containers here.", why="Containers have no network of their own.")
    return engine


def clear(place: Place) -> None:
    """Take away what a cluster whose process has ended left on this machine: containers, network, range."""
    if name := place.get("cluster"):
        try:
            _clear_engine(place["engine"], name)
        except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as error:
            _LOG.info("the engine is down, and its containers with it: %s", error)
    if known := place.get("services"):
        try:
            places.release(ipaddress.IPv4Network(known))
        except WorkbookError as error:
            _LOG.info("the range was gone: %s", error)


def _clear_engine(address: str, name: str) -> None:
    client = docker.DockerClient(base_url=address, version="auto", timeout=30)
    try:
        label: dict[str, str | list[str] | bool] = {"label": f"{CLUSTER}={name}"}
        for container in client.containers.list(all=True, filters=label, ignore_removed=True):
            try:
                container.remove(force=True, v=True)
            except docker.errors.APIError as error:
                _LOG.info("%s was going already: %s", container.name, error)
        for network in client.networks.list(filters=label):
            network.remove()
    finally:
        client.close()
