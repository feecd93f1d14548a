"""`workbook up monitoring` and `workbook down monitoring`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from labkit.monitoring import Monitoring, provision
from labkit.monitoring.stack import OUR_RULES


def up(folder: Path | None, say: Callable[[str], None]) -> dict[str, Any]:
    """Start it for the cluster that runs, if one does; gives what is printed."""
    from labkit.clusters.choice import backends, chosen

    cluster = backends()[chosen()]()()
    watched = cluster.kubeconfig if cluster.kubeconfig.is_file() else None
    monitoring = _of(folder, watched)
    monitoring.up(say)
    grafana = provision(
        monitoring.folder / "grafana", [OUR_RULES.with_name("cluster.json")], monitoring.prometheus.url
    )
    return {
        "prometheus": monitoring.prometheus.url,
        "cluster": str(watched or "none: start one, then this again"),
        "alerts": str(monitoring.folder / "alerts.jsonl"),
        "grafana": f"GF_PATHS_PROVISIONING={grafana / 'provisioning'}",
    }


def down(folder: Path | None, purge: bool) -> dict[str, Any]:
    """Stop it; gives what is printed."""
    stopped = _of(folder, None).down(purge=purge)
    return {"monitoring": "stopped" if stopped else "was not running", "purged": purge}


def _of(folder: Path | None, kubeconfig: Path | None) -> Monitoring:
    if folder is None:
        return Monitoring(kubeconfig=kubeconfig)
    return Monitoring(folder.absolute(), kubeconfig=kubeconfig)
