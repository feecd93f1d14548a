"""The embedded cluster's process: `python -m labkit.clusters.embedded FOLDER`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import secrets
import signal
import ssl
from pathlib import Path

import yaml
from aiohttp import web

from labkit.clusters.embedded import certificates, state
from labkit.clusters.embedded.agents import container, simulated
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
from labkit.clusters.embedded.local import LocalNode
from labkit.clusters.embedded.resources import built_in
from labkit.clusters.embedded.scheduler.scheduler import Scheduler
from labkit.clusters.embedded.server import Server
from labkit.clusters.embedded.store import Store
from labkit.clusters.embedded.usage import Usage, Usages
from labkit.clusters.embedded.users.restrictions import whole
from labkit.clusters.embedded.users.users import User, Users

FIRST_NODE = "simulated-1"
IMAGES = "images"
"""The file in the cluster's folder that names the images of guests' pods, one a line."""
ENGINE_SECONDS = 10.0
"""How long starting waits for the engine; after that the node says that it is not ready."""


def kubeconfig(folder: Path, port: int, token: str, user: str = "admin") -> str:
    """What clients need to find the cluster."""
    server = {"server": f"https://127.0.0.1:{port}", "certificate-authority": str(folder / "ca.crt")}
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "embedded", "cluster": server}],
            "users": [{"name": user, "user": {"token": token}}],
            "contexts": [{"name": "embedded", "context": {"cluster": "embedded", "user": user}}],
            "current-context": "embedded",
        }
    )


def guests_images(folder: Path) -> frozenset[str]:
    """The images that guests' pods may run: the lines of a file that the cluster's owner writes."""
    try:
        return frozenset(whole(line) for line in (folder / IMAGES).read_text().split())
    except FileNotFoundError:
        return frozenset()


async def serve(
    folder: Path, engine: str = "", why: str = "", *, volumes: Path | None = None, guest: bool = False
) -> None:
    """Serve the cluster that a folder holds until SIGTERM.

    Args:
        folder: Its state.
        engine: The address of the engine that its pods run on; empty if they only pretend to.
        why: Why there is none.
        volumes: Where pods' volumes lie; in the folder by default.
        guest: Whether there is a guest beside the owner, whom restrictions hold.
    """
    certificates.make(folder)
    place = state.read(folder)
    place |= {"token": place.get("token") or secrets.token_urlsafe(32), "engine": engine, "why": why}
    if guest:
        place["guest"] = place.get("guest") or secrets.token_urlsafe(32)
    if volumes is not None:
        volumes.mkdir(mode=0o711, exist_ok=True)  # containers' users pass through it
    store = Store(folder / "cluster.db")
    local = LocalNode(folder, place, store, volumes) if engine else None
    state.write(folder, place)
    api = Api(store, local.addresses if local else None)
    usage: list[Usage] = [PretendedUsage(api)]
    if local is not None:
        usage.append(local.join(api).usage)
    elif not list(api.each("nodes")):
        api.create(built_in("nodes"), "", simulated.node(FIRST_NODE))
    else:
        container.condition(api, ready=False, why=why)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.crt", folder / "server.key")
    scraper = Scraper(api)
    metrics = Metrics(Usages(usage), scraper)
    streams = local.streams if local else None
    known = [User("admin", place["token"])]
    if guest:
        known.append(User("guest", place["guest"], restricted=True))
    users = Users(api, known, lambda: guests_images(folder))
    server = Server(api, users, ServedMetrics(api, metrics), streams)
    runner = web.AppRunner(server.application(), access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", place.get("port", 0), ssl_context=context)
    await site.start()
    place["port"] = runner.addresses[0][1]
    state.write(folder, place)
    manager = Manager(
        api,
        [Namespaces(), simulated.SimulatedNodes(), Scheduler(), simulated.SimulatedPods(), ReplicaSets(),
         Deployments(), Jobs(), Endpoints(), Budgets(), Claims(), Garbage(),
         Autoscalers(metrics)],
    )  # fmt: skip
    working = [manager.run(), scraper.run(), *([local.run()] if local else [])]
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    state.private(folder / "kubeconfig", kubeconfig(folder, place["port"], place["token"]))
    if guest:
        text = kubeconfig(folder, place["port"], place["guest"], "guest")
        state.private(folder / "guest.kubeconfig", text)
    tasks = [asyncio.create_task(one) for one in (*working, stop.wait())]
    if local is not None:
        await local.until_ready(ENGINE_SECONDS)
    state.private(folder / "pid", str(os.getpid()))
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await runner.cleanup()
    store.close()
    (folder / "pid").unlink(missing_ok=True)
    for task in done:
        task.result()


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the cluster keeps its state")
    parser.add_argument("--engine", default="", help="the engine that its pods run on, unix:///...")
    parser.add_argument("--why", default="", help="why there is none")
    parser.add_argument("--volumes", type=Path, help="where pods' volumes lie")
    parser.add_argument("--guest", action="store_true", help="have a guest, whom restrictions hold")
    logging.basicConfig(level=logging.WARNING)
    asked = parser.parse_args()
    folder = asked.folder.resolve()
    asyncio.run(serve(folder, asked.engine, asked.why, volumes=asked.volumes, guest=asked.guest))


if __name__ == "__main__":
    main()
