"""What `workbook up cluster` and `workbook down cluster` do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from labkit.clusters.base import Cluster
from labkit.clusters.choice import backends, chosen
from labkit.clusters.embedded.cluster import EmbeddedCluster


def up(backend: str, folder: Path | None) -> dict[str, Any]:
    """Start a cluster unless it runs; gives what is printed."""
    cluster = _named(backend, folder)
    started = cluster.up()
    said = {
        "cluster": cluster.name,
        "kubeconfig": str(cluster.kubeconfig),
        "tier": cluster.capabilities.tier.value,
        "started": started,
    }
    if isinstance(cluster, EmbeddedCluster) and cluster.why_simulated:
        said["simulated"] = cluster.why_simulated
    return said


def down(backend: str, folder: Path | None, purge: bool) -> dict[str, Any]:
    """Stop a cluster that the workbook started; gives what is printed."""
    cluster = _named(backend, folder)
    stopped = cluster.down(purge=purge)
    return {"cluster": f"{cluster.name} {'stopped' if stopped else 'was not running'}", "purged": purge}


def _named(backend: str, folder: Path | None) -> Cluster:
    picked = chosen(backend)
    return EmbeddedCluster(folder) if picked == "embedded" else backends()[picked]()()
