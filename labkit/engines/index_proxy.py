"""A way out to the package indexes and nowhere else: a proxy that knows which hosts it may connect to.

It listens in the network of a fenced engine, which has no other way out, and connects from this machine's. It
reads the head of a request and passes the rest on unread, so that TLS is between pip and the index.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from labkit.environments.indexes import Indexes
from labkit.isolation.index_proxy_process import place_of
from labkit.isolation.network import ROOT, Network
from labkit.processes import Process

PYPI = ("pypi.org:443", "files.pythonhosted.org:443")
DEBIAN = ("deb.debian.org:80", "security.debian.org:80")
"""What the sources of Debian's images name."""
_BOOT = (
    f"import sys; sys.path.insert(0, {ROOT!r}); from labkit.isolation.index_proxy_process import main; "
    "main(int(sys.argv[1]), sys.argv[2], sys.argv[3].split())"
)


def hosts_of(indexes: Indexes, apt: Path = Path("/etc/apt")) -> list[str]:
    """The hosts, with their ports, that pip's and apt's configurations name on this machine."""
    urls = [indexes.index_url, *indexes.extra_index_urls, *indexes.find_links]
    sources = [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]
    for path in sources:
        with suppress(OSError):
            lines = re.sub(r"#.*", "", path.read_text(errors="replace"))
            urls += re.findall(r"https?://\S+", lines)
    found = {place for url in urls if (place := place_of(url))}
    if not indexes.index_url and not indexes.no_index:
        found.update(PYPI)
    if DEBIAN[0] in found:
        found.update(DEBIAN)
    return sorted(found)


class IndexProxy:
    """A running proxy.

    Args:
        network: Where it listens, on `PORT` of all addresses there.
        hosts: Where it may connect to, `host:port`.
        upstream: The proxy that this machine itself goes through, `http://...`; empty if there is none.
        log: Where it says what it refused.
    """

    def __init__(self, network: Network, hosts: Iterable[str], *, upstream: str, log: Path) -> None:
        self._process = Process(
            [
                *(sys.executable, "-I", "-S", "-c", _BOOT, str(network.handle), upstream or "-"),
                " ".join(hosts),
            ],
            cwd=Path("/"),
            log=log,
            pass_fds=[network.handle],
        )

    def close(self) -> None:
        """End it."""
        self._process.stop(grace=0.2)
