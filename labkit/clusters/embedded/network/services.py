"""Keeps a listener for each address and port of each Service, with the endpoints that are ready."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from labkit.clusters.embedded.api import Api
from labkit.clusters.embedded.controllers.base import record
from labkit.clusters.embedded.controllers.endpoints import SLICES
from labkit.clusters.embedded.network.proxy import Balancer, Endpoint
from labkit.clusters.embedded.store import Change

Object = dict[str, Any]
Place = tuple[str, int]
_LOG = logging.getLogger(__name__)


class Services:
    """The Services of one cluster.

    Args:
        api: The cluster's objects.
    """

    def __init__(self, api: Api) -> None:
        self._api = api
        self._pods = ""
        self._listening: dict[Place, Balancer] = {}
        self._wake = asyncio.Event()

    def join(self, pods: str) -> None:
        """Serve the pods of that network, too."""
        if pods != self._pods:
            self._pods = pods
            self.close()
        self._wake.set()

    def close(self) -> None:
        """Listen no longer."""
        for balancer in self._listening.values():
            balancer.close()
        self._listening.clear()

    async def run(self) -> None:
        """Follow changes until cancelled."""
        end = self._api.listen(self._note)
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                if self._pods:
                    await self._follow()
        finally:
            end()
            self.close()

    def _note(self, change: Change) -> None:
        if change.resource in ("services", SLICES):
            self._wake.set()

    async def _follow(self) -> None:
        wanted = self._wanted()
        for place in [one for one in self._listening if one not in wanted]:
            self._listening.pop(place).close()
        for place, (service, endpoints) in wanted.items():
            balancer = self._listening.get(place)
            if balancer is None:
                balancer = self._listening[place] = Balancer(*place, self._pods)
            try:
                await balancer.serve(endpoints)
            except OSError as error:
                del self._listening[place]
                message = f"nothing can listen on {place[0]}:{place[1]}: {error.strerror}"
                record(self._api, service, "FailedToListen", message, "kube-proxy", "Warning")

    def _wanted(self) -> dict[Place, tuple[Object, list[Endpoint]]]:
        """Each address and port that is to be listened on, whose it is, and where its connections go."""
        slices: dict[tuple[str, str], list[Object]] = {}
        for one in self._api.each(SLICES):
            name = (one["metadata"].get("labels") or {}).get("kubernetes.io/service-name", "")
            slices.setdefault((one["metadata"]["namespace"], name), []).append(one)
        found: dict[Place, tuple[Object, list[Endpoint]]] = {}
        for service in self._api.each("services"):
            spec, metadata = service["spec"], service["metadata"]
            address = spec.get("clusterIP")
            if not address or address == "None":
                continue
            there = slices.get((metadata["namespace"], metadata["name"]), [])
            for port in spec.get("ports") or ():
                if port.get("protocol", "TCP") != "TCP":
                    continue
                endpoints = ready_endpoints(there, port.get("name", ""))
                found[address, port["port"]] = (service, endpoints)
                if port.get("nodePort"):
                    found["127.0.0.1", port["nodePort"]] = (service, endpoints)
        return found


def ready_endpoints(slices: list[Object], port: str) -> list[Endpoint]:
    """Where a Service's port of that name is served now."""
    found = []
    for one in slices:
        numbers = [
            each["port"] for each in one.get("ports") or () if each.get("name", "") == port and "port" in each
        ]
        for endpoint in one.get("endpoints") or ():
            if numbers and endpoint["conditions"].get("ready"):
                found += [(address, int(numbers[0])) for address in endpoint["addresses"]]
    return found
