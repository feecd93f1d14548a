"""Addresses and ports that Services get."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

from labkit.clusters.embedded.errors import invalid, unprocessable
from labkit.clusters.embedded.resources import built_in

NODE_PORTS = range(30000, 32768)


class Addresses:
    """Hands out cluster addresses and node ports, each once at a time.

    Args:
        network: Where the addresses come from.
        first_port: Where node ports begin: several clusters on one machine share its loopback.
        is_free: Whether a node port can be listened on.
    """

    def __init__(
        self,
        network: str = "10.96.0.0/16",
        first_port: int = NODE_PORTS.start,
        is_free: Callable[[int], bool] = lambda _: True,
    ) -> None:
        self.network = ipaddress.ip_network(network)
        self._is_free = is_free
        self._node_ports: list[int] = [
            *range(first_port, NODE_PORTS.stop),
            *range(NODE_PORTS.start, first_port),
        ]
        self._used: set[str] = set()
        self._ports: set[int] = set()

    def take(self, service: dict[str, Any]) -> None:
        """Note what a Service has already."""
        spec = service["spec"]
        self._used.add(spec.get("clusterIP", ""))
        self._ports |= {port["nodePort"] for port in spec.get("ports") or () if port.get("nodePort")}

    def free(self, service: dict[str, Any]) -> None:
        """Take back what a Service had."""
        spec = service["spec"]
        self._used.discard(spec.get("clusterIP", ""))
        self._ports -= {port["nodePort"] for port in spec.get("ports") or () if port.get("nodePort")}

    def give(self, service: dict[str, Any]) -> None:
        """Give a new Service, in place, what it lacks.

        Raises:
            ApiError: It asks for an address or port that can't be had.
        """
        spec, name = service["spec"], service["metadata"]["name"]
        if spec["type"] == "ExternalName":
            return
        asked = spec.get("clusterIP")
        if asked and asked != "None":
            self._check(name, asked)
        elif not asked:
            hosts = self.network.hosts()
            next(hosts)
            spec["clusterIP"] = next(str(host) for host in hosts if str(host) not in self._used)
        spec["clusterIPs"] = [spec["clusterIP"]]
        if spec["type"] in ("NodePort", "LoadBalancer"):
            for i, port in enumerate(spec.get("ports") or ()):
                if "nodePort" not in port:
                    port["nodePort"] = self._port()
                elif why := self._refusal(port["nodePort"]):
                    cause = invalid(f"spec.ports[{i}].nodePort", port["nodePort"], why)
                    raise unprocessable(built_in("services"), name, [cause])
                self._ports.add(port["nodePort"])
        self.take(service)

    def _port(self) -> int:
        return next(port for port in self._node_ports if port not in self._ports and self._is_free(port))

    def _refusal(self, port: int) -> str:
        """Why a node port can't be had; empty if it can."""
        if port in self._ports:
            return "provided port is already allocated"
        if port not in NODE_PORTS:
            ends = f"{NODE_PORTS.start}-{NODE_PORTS.stop - 1}"
            return f"provided port is not in the valid range. The range of valid ports is {ends}"
        return ""

    def _check(self, name: str, asked: str) -> None:
        try:
            inside = ipaddress.ip_address(asked) in self.network
        except ValueError:
            inside = False
        why = "provided IP is already allocated" if asked in self._used else ""
        if not inside:
            why = f"failed to allocate IP {asked}: the provided IP is not in the valid range ({self.network})"
        if why:
            raise unprocessable(built_in("services"), name, [invalid("spec.clusterIPs", [asked], why)])
