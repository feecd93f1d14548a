"""The cluster's name server: Services and the pods behind headless ones, asked on the pods' gateway."""

from __future__ import annotations

import asyncio
import logging
import socket
from pathlib import Path
from typing import Any, cast

from dnslib import CNAME, QTYPE, RCODE, RR, SRV, A, DNSError, DNSRecord

from labkit.clusters.embedded.agents.naming import DOMAIN
from labkit.clusters.embedded.api import Api
from labkit.clusters.embedded.controllers.endpoints import SLICES

Object = dict[str, Any]
PORT = 53
_LOG = logging.getLogger(__name__)
_SECONDS = 5
"""How long an answer may be remembered."""
_UPSTREAM_SECONDS = 4.0


class Names:
    """Answers from the cluster's objects.

    Args:
        api: The cluster's objects.
    """

    def __init__(self, api: Api) -> None:
        self._api = api

    def answer(self, question: DNSRecord) -> DNSRecord | None:
        """The answer to a question; None if it is about names beyond the cluster."""
        asked = str(question.q.qname).rstrip(".").lower()
        if asked != DOMAIN and not asked.endswith(f".{DOMAIN}"):
            return None
        reply = question.reply()
        records = self._records(asked)
        if records is None:
            reply.header.rcode = RCODE.NXDOMAIN
            return reply
        for kind, data in records:
            if question.q.qtype in (kind, QTYPE.ANY) or kind == QTYPE.CNAME:
                reply.add_answer(RR(question.q.qname, kind, rdata=data, ttl=_SECONDS))
        return reply

    def _records(self, name: str) -> list[tuple[int, Any]] | None:
        """What stands under a name; None if it is nobody's."""
        parts = name.removesuffix(DOMAIN).rstrip(".").split(".")
        if parts[-1:] == ["pod"] and len(parts) == 3:
            return [(QTYPE.A, A(parts[0].replace("-", ".")))] if _is_address(parts[0]) else None
        if parts[-1:] != ["svc"]:
            return [] if name == DOMAIN else None
        *before, namespace = parts[:-1] if len(parts) > 1 else ["", ""]
        if not before:
            return [] if self._api.find("namespaces", "", namespace) or not namespace else None
        service = self._api.find("services", namespace, before[-1])
        if service is None:
            return None
        if len(before) == 1:
            return self._of_service(service)
        if len(before) == 2:
            found = [
                address
                for address, one in self._endpoints(service)
                if before[0] in (one.get("hostname"), address.replace(".", "-"))
            ]
            return [(QTYPE.A, A(address)) for address in found] or None
        if len(before) == 3 and before[0].startswith("_"):
            return self._of_port(service, before[0][1:], before[1].lstrip("_"), name)
        return None

    def _of_service(self, service: Object) -> list[tuple[int, Any]]:
        spec = service["spec"]
        if spec["type"] == "ExternalName":
            return [(QTYPE.CNAME, CNAME(spec["externalName"]))]
        if spec.get("clusterIP") != "None":
            return [(QTYPE.A, A(spec["clusterIP"]))]
        return [(QTYPE.A, A(address)) for address, _ in self._endpoints(service)]

    def _of_port(self, service: Object, port: str, protocol: str, name: str) -> list[tuple[int, Any]] | None:
        target = name.split(".", 2)[2]
        found = [
            (QTYPE.SRV, SRV(0, 100, one["port"], target))
            for one in service["spec"].get("ports") or ()
            if one.get("name") == port and one.get("protocol", "TCP").lower() == protocol
        ]
        return found or None

    def _endpoints(self, service: Object) -> list[tuple[str, Object]]:
        """The addresses behind a Service that are ready, each with its endpoint."""
        metadata = service["metadata"]
        return [
            (address, endpoint)
            for one in self._api.each(SLICES, metadata["namespace"])
            if (one["metadata"].get("labels") or {}).get("kubernetes.io/service-name") == metadata["name"]
            for endpoint in one.get("endpoints") or ()
            if endpoint["conditions"].get("ready")
            for address in endpoint["addresses"]
        ]


class NameServer(asyncio.DatagramProtocol):
    """Answers over UDP; what is not about the cluster is asked of this machine's own name servers.

    Args:
        names: Who knows.
    """

    def __init__(self, names: Names) -> None:
        self._names = names
        self._transport: asyncio.DatagramTransport | None = None
        self._closed = asyncio.Event()
        self._asking: set[asyncio.Task[None]] = set()

    async def listen(self, address: str) -> None:
        """Listen there and nowhere else.

        Raises:
            OSError: The port is taken.
        """
        if self._transport is not None:
            self._closed.clear()
            self.close()
            await self._closed.wait()
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: self, local_addr=(address, PORT))

    def close(self) -> None:
        """Listen no longer."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.DatagramTransport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        """The socket is closed, and its address free again."""
        self._closed.set()

    def datagram_received(self, data: bytes, address: tuple[str | Any, int]) -> None:
        """Answer one question; what is none is dropped."""
        try:
            question = DNSRecord.parse(data)
            answer = self._names.answer(question)
        except (DNSError, ValueError, IndexError) as error:
            _LOG.info("a question that can't be read: %s", error)
            return
        if answer is not None:
            self._send(answer.pack(), address)
            return
        task = asyncio.get_running_loop().create_task(self._pass_on(data, question, address))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    def _send(self, data: bytes, address: tuple[str | Any, int]) -> None:
        if self._transport is not None:
            self._transport.sendto(data, address)

    async def _pass_on(self, data: bytes, question: DNSRecord, address: tuple[str | Any, int]) -> None:
        loop = asyncio.get_running_loop()
        for server in upstream():
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
                line.setblocking(False)
                try:
                    async with asyncio.timeout(_UPSTREAM_SECONDS):
                        await loop.sock_connect(line, (server, PORT))
                        await loop.sock_sendall(line, data)
                        self._send(await loop.sock_recv(line, 65535), address)
                        return
                except (OSError, TimeoutError):
                    continue
        reply = question.reply()
        reply.header.rcode = RCODE.SERVFAIL
        self._send(reply.pack(), address)


def upstream() -> list[str]:
    """This machine's own name servers."""
    try:
        lines = Path("/etc/resolv.conf").read_text().splitlines()
    except OSError:
        return []
    named = [line.split()[1] for line in lines if line.startswith("nameserver ") and len(line.split()) > 1]
    return [one for one in named if ":" not in one]


def _is_address(dashed: str) -> bool:
    try:
        socket.inet_aton(dashed.replace("-", "."))
    except OSError:
        return False
    return dashed.count("-") == 3
