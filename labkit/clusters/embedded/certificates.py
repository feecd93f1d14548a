"""The embedded cluster's authority and the certificate that its server shows."""

from __future__ import annotations

from pathlib import Path

from labkit.clusters.certificates import Authority


def make(folder: Path) -> None:
    """Make `ca.crt`, `server.crt` and `server.key` in a folder, unless they are there."""
    if not (folder / "server.crt").exists():
        authority = Authority(folder, "workbook embedded cluster")
        authority.issue("server", "kube-apiserver", hosts=["localhost", "127.0.0.1"])
