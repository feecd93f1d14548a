"""The process beside Prometheus: webhook, the cluster's metrics, service discovery.

python -m labkit.monitoring FOLDER PORT [KUBECONFIG]
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web

from labkit.monitoring.cluster_metrics import ClusterMetrics
from labkit.monitoring.discovery import discover
from labkit.monitoring.webhook import receiver


def main(arguments: list[str]) -> None:
    """Serve until SIGTERM."""
    folder, port, *kubeconfig = arguments
    state = ClusterMetrics(Path(kubeconfig[0])).text if kubeconfig else str
    application = receiver(Path(folder), state)

    async def discovering(_: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(discover(Path(folder), Path(kubeconfig[0])))
        yield
        task.cancel()

    if kubeconfig:
        application.cleanup_ctx.append(discovering)
    web.run_app(application, host="127.0.0.1", port=int(port), print=None)


if __name__ == "__main__":
    main(sys.argv[1:])
