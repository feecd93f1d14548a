"""The embedded cluster's process: `python -m labkit.clusters.embedded FOLDER`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import secrets
import signal
import ssl
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from labkit.clusters.embedded import certificates
from labkit.clusters.embedded.agents import simulated
from labkit.clusters.embedded.agents.pretended import PretendedUsage
from labkit.clusters.embedded.api import Api
from labkit.clusters.embedded.autoscaling.controller import Autoscalers
from labkit.clusters.embedded.autoscaling.metrics import Metrics
from labkit.clusters.embedded.autoscaling.scraping import Scraper
from labkit.clusters.embedded.autoscaling.served import ServedMetrics
from labkit.clusters.embedded.controllers.base import Manager
from labkit.clusters.embedded.controllers.deployments import Deployments
from labkit.clusters.embedded.controllers.endpoints import Endpoints
from labkit.clusters.embedded.controllers.housekeeping import Budgets, Claims, Garbage, Namespaces
from labkit.clusters.embedded.controllers.jobs import Jobs
from labkit.clusters.embedded.controllers.replicasets import ReplicaSets
from labkit.clusters.embedded.resources import built_in
from labkit.clusters.embedded.scheduler.scheduler import Scheduler
from labkit.clusters.embedded.server import Server
from labkit.clusters.embedded.store import Store

FIRST_NODE = "node-1"


def kubeconfig(folder: Path, port: int, token: str) -> str:
    """What clients need to find the cluster."""
    server = {"server": f"https://127.0.0.1:{port}", "certificate-authority": str(folder / "ca.crt")}
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "embedded", "cluster": server}],
            "users": [{"name": "admin", "user": {"token": token}}],
            "contexts": [{"name": "embedded", "context": {"cluster": "embedded", "user": "admin"}}],
            "current-context": "embedded",
        }
    )


def write(path: Path, text: str) -> None:
    """Write a file that only its owner reads, in one step."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_text(text)
    draft.replace(path)


async def serve(folder: Path) -> None:
    """Serve the cluster that a folder holds until SIGTERM."""
    certificates.make(folder)
    known = folder / "place.json"
    place: dict[str, Any] = {"port": 0, "token": secrets.token_urlsafe(32)}
    if known.exists():
        place = json.loads(known.read_text())
    store = Store(folder / "cluster.db")
    api = Api(store)
    if not list(api.each("nodes")):
        api.create(built_in("nodes"), "", simulated.node(FIRST_NODE))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.crt", folder / "server.key")
    usage, scraper = PretendedUsage(api), Scraper(api)
    metrics = Metrics(usage, scraper)
    server = Server(api, place["token"], ServedMetrics(api, metrics))
    runner = web.AppRunner(server.application(), access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", place["port"], ssl_context=context)
    await site.start()
    port = runner.addresses[0][1]
    write(known, json.dumps({**place, "port": port}))
    manager = Manager(
        api,
        [Namespaces(), simulated.SimulatedNodes(), Scheduler(), simulated.SimulatedPods(), ReplicaSets(),
         Deployments(), Jobs(), Endpoints(), Budgets(), Claims(), Garbage(),
         Autoscalers(metrics)],
    )  # fmt: skip
    working = asyncio.create_task(manager.run())
    scraping = asyncio.create_task(scraper.run())
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    write(folder / "kubeconfig", kubeconfig(folder, port, place["token"]))
    write(folder / "pid", str(os.getpid()))
    await asyncio.wait([working, asyncio.create_task(stop.wait())], return_when=asyncio.FIRST_COMPLETED)
    for task in (working, scraping):
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    await runner.cleanup()
    store.close()
    (folder / "pid").unlink(missing_ok=True)


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the cluster keeps its state")
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(serve(parser.parse_args().folder.resolve()))


if __name__ == "__main__":
    main()
