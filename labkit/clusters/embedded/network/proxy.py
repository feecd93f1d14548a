"""A listener of a Service: each new connection goes to the next of its ready endpoints."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import Sequence

from labkit.clusters.embedded.network.places import ALL

Endpoint = tuple[str, int]
_LOG = logging.getLogger(__name__)
_DIAL_SECONDS = 3.0
_BACKLOG = 1024


class Balancer:
    """One address and port.

    Args:
        address: Where it listens.
        port: Its port.
        pods: The network whose members may come, beside this machine.
    """

    def __init__(self, address: str, port: int, pods: str) -> None:
        self.address, self.port = address, port
        self._allowed = [ipaddress.ip_network(one) for one in ("127.0.0.0/8", str(ALL), pods)]
        self._endpoints: list[Endpoint] = []
        self._next = 0
        self._server: asyncio.Server | None = None

    async def serve(self, endpoints: Sequence[Endpoint]) -> None:
        """Send new connections there from now on; with no endpoint nobody listens, and callers are refused.

        Raises:
            OSError: The port is taken.
        """
        self._endpoints = list(endpoints)
        if self._endpoints and self._server is None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(
                lambda: _Front(self), self.address, self.port, backlog=_BACKLOG
            )
        elif not self._endpoints:
            self.close()

    def close(self) -> None:
        """Listen no longer; connections that are there go on."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def order(self) -> list[Endpoint]:
        """The endpoints for one connection: in turn, the others for when one refuses."""
        there = self._endpoints
        if not there:
            return []
        self._next = (self._next + 1) % len(there)
        return [*there[self._next :], *there[: self._next]]

    def admits(self, address: str) -> bool:
        """Whether somebody may come: this machine and the cluster's pods, nobody from beyond."""
        return any(ipaddress.ip_address(address) in network for network in self._allowed)


class _Side(asyncio.Protocol):
    """One end of a connection; what it gets it hands to its peer."""

    transport: asyncio.Transport
    peer: _Side | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self.peer is not None:
            self.peer.transport.write(data)

    def eof_received(self) -> bool:
        if self.peer is not None and self.peer.transport.can_write_eof():
            self.peer.transport.write_eof()
        return True

    def connection_lost(self, error: Exception | None) -> None:
        if self.peer is not None:
            self.peer.transport.close()
            self.peer = None

    def pause_writing(self) -> None:
        if self.peer is not None:
            self.peer.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.peer is not None:
            self.peer.transport.resume_reading()


class _Front(_Side):
    """The caller's end."""

    def __init__(self, balancer: Balancer) -> None:
        self._balancer = balancer
        self._dialling: asyncio.Task[None] | None = None
        self._early: list[bytes] = []
        self._ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if not self._balancer.admits(str(transport.get_extra_info("peername")[0])):
            self.transport.abort()
            return
        self._dialling = asyncio.get_running_loop().create_task(self._dial())

    def data_received(self, data: bytes) -> None:
        if self.peer is None:  # not connected yet: a little is kept, the rest waits in the kernel
            self._early.append(data)
            self.transport.pause_reading()
        else:
            super().data_received(data)

    def eof_received(self) -> bool:
        self._ended = True
        return super().eof_received()

    async def _dial(self) -> None:
        loop = asyncio.get_running_loop()
        for address, port in self._balancer.order():
            try:
                async with asyncio.timeout(_DIAL_SECONDS):
                    _, back = await loop.create_connection(_Side, address, port)
            except (OSError, TimeoutError):
                continue
            if self.transport.is_closing():
                back.transport.abort()
                return
            back.peer, self.peer = self, back
            back.transport.writelines(self._early)
            self._early.clear()
            if self._ended:
                back.transport.write_eof()
            self.transport.resume_reading()
            return
        self.transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        if self.peer is None and self._dialling is not None and not self._dialling.done():
            self._dialling.cancel()
