"""The range of Service addresses that a cluster has for itself on this machine."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterator
from pathlib import Path

from labkit.engines import machine
from labkit.errors import Unavailable

ALL = ipaddress.ip_network("10.96.0.0/12")
_SIZE = 20
Network = ipaddress.IPv4Network


def candidates(folder: Path) -> Iterator[Network]:
    """All ranges, beginning at one that depends on the cluster's folder."""
    ranges = list(ALL.subnets(new_prefix=_SIZE))
    first = int.from_bytes(hashlib.sha256(str(folder).encode()).digest()[:4], "big") % len(ranges)
    for i in range(len(ranges)):
        found = ranges[(first + i) % len(ranges)]
        assert isinstance(found, Network)
        yield found


def first_port(network: Network) -> int:
    """Where a cluster with that range begins to look for free node ports."""
    ranges = 1 << (_SIZE - ALL.prefixlen)
    place = (int(network.network_address) - int(ALL.network_address)) >> (32 - _SIZE)
    return 30000 + place * (2768 // ranges)


def claim(network: Network) -> bool:
    """Make all of a range's addresses this machine's own; false if somebody has it.

    One local route is enough, no address is added anywhere; the kernel refuses a second one, so that no two
    clusters have the same range.
    """
    if any(other.overlaps(network) for other in machine.networks() if other.prefixlen):
        return False
    try:
        machine.ip("route", "add", "local", str(network), "dev", "lo", "table", "local", "scope", "host")
    except Unavailable:
        return False
    return True


def claimed(network: Network) -> bool:
    """Whether the range is this machine's own now."""
    return f"local {network} " in machine.ip("-4", "route", "show", "table", "local")


def release(network: Network) -> None:
    """Give a range back; harmless if it is nobody's."""
    if claimed(network):
        machine.ip("route", "delete", "local", str(network), "dev", "lo", "table", "local")
