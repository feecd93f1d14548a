"""Takes what Alertmanager delivers, and tells Prometheus of the cluster and of this machine's GPUs."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from aiohttp import web

from labkit.monitoring.gpu_metrics import gpu_metrics

ALERTS = "alerts.jsonl"


@dataclass(frozen=True)
class Delivered:
    """One alert that Alertmanager delivered.

    Attributes:
        name: Its name.
        labels: All its labels.
        firing: Whether it fires; else it is resolved.
        since: When Prometheus saw it first, Unix seconds.
        at: When it was delivered, Unix seconds.
    """

    name: str
    labels: dict[str, str]
    firing: bool
    since: float
    at: float


def delivered(folder: Path) -> list[Delivered]:
    """What was delivered so far, in order."""
    try:
        lines = (folder / ALERTS).read_text().splitlines()
    except OSError:
        return []
    return [Delivered(**json.loads(line)) for line in lines]


def receiver(folder: Path, cluster_state: Callable[[], str]) -> web.Application:
    """The application: `POST /alerts` notes each alert with its time, `GET /metrics` tells of the cluster.

    Args:
        folder: Where alerts are noted.
        cluster_state: Gives the metrics of the cluster, in Prometheus' text format.
    """

    async def alerts(request: web.Request) -> web.Response:
        at = time.time()
        with (folder / ALERTS).open("a") as file:
            for alert in (await request.json())["alerts"]:
                noted = Delivered(
                    name=alert["labels"]["alertname"],
                    labels=alert["labels"],
                    firing=alert["status"] == "firing",
                    since=datetime.fromisoformat(alert["startsAt"]).timestamp(),
                    at=at,
                )
                file.write(json.dumps(vars(noted)) + "\n")
        return web.Response()

    async def metrics(_: web.Request) -> web.Response:
        text = await asyncio.to_thread(lambda: cluster_state() + gpu_metrics())
        return web.Response(text=text, content_type="text/plain")

    async def ready(_: web.Request) -> web.Response:
        return web.Response()

    application = web.Application()
    application.add_routes(
        [web.post("/alerts", alerts), web.get("/metrics", metrics), web.get("/ready", ready)]
    )
    return application
