"""Lets a client of this machine ask a server in a network of its own, through a Unix socket or a port.

The relay is a process of ours in that network: it takes connections on a socket that it was handed and
passes their bytes on to a port there. Loads are not measured through it: they are sent from inside.
"""

from __future__ import annotations

import socket
import sys
import tempfile
from pathlib import Path

from labkit.isolation import janitor
from labkit.isolation.network import ROOT, Network
from labkit.processes import Process

_BOOT = (
    f"import sys; sys.path.insert(0, {ROOT!r}); from labkit.isolation.relay_process import main; "
    "main(int(sys.argv[1]), int(sys.argv[2]))"
)


class Relay:
    """A running relay.

    Args:
        network: Where the server is.
        port: Its port there, on 127.0.0.1.
        tcp: Listen on a free port of 127.0.0.1 here, `port`, instead of the Unix socket `path`.
    """

    def __init__(self, network: Network, port: int, *, tcp: bool = False) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix=janitor.prefix("relay"), ignore_cleanup_errors=True)
        self.path = Path(self._folder.name) / "http"
        with socket.socket(socket.AF_INET if tcp else socket.AF_UNIX) as listening:
            listening.bind(("127.0.0.1", 0) if tcp else str(self.path))
            listening.listen(64)
            self.port = int(listening.getsockname()[1]) if tcp else 0
            handles = (listening.fileno(), network.handle)
            command = [sys.executable, "-I", "-S", "-c", _BOOT, str(handles[0]), str(port)]
            try:
                self._process = Process(
                    network.command(command),
                    cwd=Path("/"),
                    log=Path(self._folder.name) / "log",
                    pass_fds=handles,
                )
            except BaseException:
                self._folder.cleanup()
                raise

    def close(self) -> None:
        """End it."""
        self._process.stop()
        self._folder.cleanup()
