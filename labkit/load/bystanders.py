"""How much of the machine other programs take while a local server is measured.

The generator asks for priority, a server does not: beside busy programs, or on a virtual machine whose host
is busy, a server is late through no fault of its own while the generator notices nothing.
"""

from __future__ import annotations

import math
import os
import time
from urllib.parse import urlsplit

import psutil


class Bystanders:
    """Counts from its making on.

    Args:
        server: The process at the head of the server's family; None if it is unknown or elsewhere.
    """

    def __init__(self, server: int | None) -> None:
        self._server = server
        self._started = time.monotonic()
        self._before = _seconds_by_process(server)
        self._busy_before = _busy_seconds()

    def share(self) -> float:
        """The part of this machine's cores, 0 to 1, that was busy with anything but the server and us.

        Time that the host of a virtual machine took away counts, too. Not a number without a server to know.
        """
        elapsed = time.monotonic() - self._started
        if self._server is None or not self._before or elapsed <= 0:
            return math.nan
        busy = _busy_seconds() - self._busy_before
        after = _seconds_by_process(self._server)
        ours = sum(seconds - self._before.get(pid, 0.0) for pid, seconds in after.items())
        return max(0.0, busy - ours) / elapsed / (psutil.cpu_count() or 1)


def listening_process(url: str) -> int | None:
    """The process that listens at this address, if that is one of this machine's and can be seen."""
    address = urlsplit(url)
    if address.hostname not in ("127.0.0.1", "localhost", "::1"):
        return None
    port = address.port or {"https": 443, "grpc": 50051}.get(address.scheme, 80)
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.Error:
        return None
    listening = (each for each in connections if each.status == psutil.CONN_LISTEN)
    heads = (each.pid for each in listening if getattr(each.laddr, "port", None) == port)
    return min((pid for pid in heads if pid is not None), default=None)


def _seconds_by_process(server: int | None) -> dict[int, float]:
    """Processor seconds of this process and of the server's family, with those of ended children."""
    family = [psutil.Process(os.getpid())]
    try:
        if server is None:
            return {}
        head = psutil.Process(server)
        family += [head, *head.children(recursive=True)]
    except psutil.Error:
        return {}
    seconds = {}
    for process in family:
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        ended = (getattr(times, name, 0.0) for name in ("children_user", "children_system"))
        seconds[process.pid] = times.user + times.system + sum(ended)
    return seconds


def _busy_seconds() -> float:
    """Seconds for which any core was busy, or was not given to us by the host."""
    times = psutil.cpu_times()
    return float(sum(getattr(times, name, 0.0) for name in ("user", "nice", "system", "steal")))
