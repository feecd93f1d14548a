"""What `workbook up cluster` and `workbook down cluster` do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from labkit.clusters.choice import backends, chosen
from labkit.clusters.embedded.cluster import EmbeddedCluster


def up(backend: str, folder: Path | None) -> dict[str, Any]:
    """Start a cluster unless it runs; gives what is printed."""
    picked = chosen(backend)
    cluster = EmbeddedCluster(folder) if picked == "embedded" else backends()[picked]()()
    started = cluster.up()
    return {
        "cluster": cluster.name,
        "kubeconfig": str(cluster.kubeconfig),
        "tier": cluster.capabilities.tier.value,
        "started": started,
    }


def down(folder: Path | None, purge: bool) -> dict[str, Any]:
    """Stop the embedded cluster; gives what is printed."""
    stopped = EmbeddedCluster(folder).down(purge=purge)
    return {"cluster": "stopped" if stopped else "was not running", "purged": purge}
