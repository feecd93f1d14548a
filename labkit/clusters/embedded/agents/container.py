"""The node whose pods are real containers of this machine's engine."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import platform
import shutil
from collections import defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psutil

from labkit.clusters.embedded.agents import creation, pause
from labkit.clusters.embedded.agents.engine import Engine, EngineError, EngineGone
from labkit.clusters.embedded.agents.measured import MeasuredUsage
from labkit.clusters.embedded.agents.simulated import LABEL
from labkit.clusters.embedded.agents.volumes import Volumes
from labkit.clusters.embedded.agents.worker import Worker
from labkit.clusters.embedded.api import Api
from labkit.clusters.embedded.controllers.base import key_of, record, set_condition
from labkit.clusters.embedded.controllers.base import ready as is_ready
from labkit.clusters.embedded.resources import built_in
from labkit.clusters.embedded.scheduler.scheduler import NOT_READY
from labkit.clusters.embedded.store import Change

Object = dict[str, Any]
NAME = "container"
NODE = "node-1"
_LOG = logging.getLogger(__name__)
_KNOCK_SECONDS = 0.5
_AFTER_A_FAULT = 2.0


def capacity(folder: Path) -> dict[str, str]:
    """What this machine has, as quantities."""
    return {
        "cpu": str(os.cpu_count() or 1),
        "memory": f"{psutil.virtual_memory().total // 1024}Ki",
        "ephemeral-storage": f"{shutil.disk_usage(folder).total // 1024}Ki",
        "pods": "110",
    }


class ContainerNode:
    """Runs the pods that are bound to it.

    Args:
        api: The cluster's objects.
        folder: Where volumes are kept.
        engine: Where containers run.
        cluster: What its containers and its network are labelled with.
        joined: Told the pods' gateway and network when the engine is there, and again when it is back.
    """

    def __init__(
        self,
        api: Api,
        folder: Path,
        engine: Engine,
        cluster: str,
        joined: Callable[[str, str], Awaitable[None]],
    ) -> None:
        self.api, self.engine, self.cluster = api, engine, cluster
        self.network = f"workbook-{cluster}"
        self.gateway, self.pause = "", ""
        self.allocatable = capacity(folder)
        self.usage = MeasuredUsage(engine, cluster, NODE)
        self._folder, self._joined = folder, joined
        self._workers: dict[str, tuple[Worker, asyncio.Task[None]]] = {}
        self._chores: set[asyncio.Task[None]] = set()

    def volumes(self, uid: str) -> Volumes:
        """The folders of a pod."""
        return Volumes(self.api, self._folder, uid, self.allocatable)

    async def run(self) -> None:
        """Go on until cancelled, whatever becomes of the engine."""
        announce(self.api, self.allocatable)
        end = self.api.listen(self._note)
        try:
            while True:
                try:
                    await self._join()
                    await self._serve()
                except EngineGone as gone:
                    self._say(ready=False, why=f"the container engine does not answer: {gone}")
                except EngineError as error:
                    self._say(ready=False, why=f"the container engine refuses: {error}")
                finally:
                    await self._stop()
                await asyncio.sleep(_KNOCK_SECONDS)
        finally:
            end()
            await self.engine.close()

    # ---- the engine -------------------------------------------------------------------------------------

    async def _join(self) -> None:
        engine = self.engine
        version = await engine.ask("GET", "/version")
        self.pause = await pause.provide(engine)
        found = await engine.ask("GET", "/networks", filters=json.dumps({"name": [self.network]}))
        if not any(one["Name"] == self.network for one in found):
            labels = {creation.CLUSTER: self.cluster}
            await engine.ask(
                "POST", "/networks/create", {"Name": self.network, "CheckDuplicate": True, "Labels": labels}
            )
        place = (await engine.ask("GET", f"/networks/{self.network}"))["IPAM"]["Config"][0]
        self.gateway = place["Gateway"]
        await self._adopt()
        self._say(ready=True, engine=f"docker://{version['Version']}")
        await self._joined(self.gateway, place["Subnet"])

    async def _adopt(self) -> None:
        """Take up pods that are there, with their containers; remove containers whose pods are not."""
        there: dict[str, list[Object]] = defaultdict(list)
        for one in await self.engine.containers(f"{creation.CLUSTER}={self.cluster}"):
            there[one["Labels"].get(creation.POD, "")].append(one)
        pods = {pod["metadata"]["uid"]: pod for pod in self.api.each("pods") if self._ours(pod)}
        for uid, containers in there.items():
            if uid not in pods:
                for one in containers:
                    await self.engine.remove(one["Id"])
        folders = self._folder / "pods"
        for old in list(folders.iterdir()) if folders.is_dir() else []:
            if old.name not in pods:
                shutil.rmtree(old, ignore_errors=True)
        for uid, pod in pods.items():
            oldest_first = sorted(there[uid], key=lambda one: int(one["Created"]))
            self._begin(pod, oldest_first)

    async def _serve(self) -> None:
        """Go on while the engine does.

        Raises:
            EngineGone: It does no longer.
        """
        filters = json.dumps({"label": [f"{creation.CLUSTER}={self.cluster}"], "type": ["container"]})
        measuring = asyncio.create_task(self.usage.run())
        try:
            async with self.engine.open("GET", "/events", filters=filters) as answer:
                async for _ in answer.content:
                    pass
        finally:
            measuring.cancel()
        raise EngineGone("it ended")

    async def _stop(self) -> None:
        tasks = [task for _, task in self._workers.values()] + list(self._chores)
        self._workers.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # ---- pods -------------------------------------------------------------------------------------------

    def _ours(self, pod: Object) -> bool:
        return bool(pod["spec"].get("nodeName") == NODE)

    def _note(self, change: Change) -> None:
        thing = change.now.object
        if change.resource in ("configmaps", "secrets"):
            for worker, _ in self._workers.values():
                if worker.key[0] == thing["metadata"]["namespace"]:
                    worker.refresh()
                    worker.wake()
        if change.resource != "pods" or not self._ours(thing) or not self.gateway:
            return
        uid = thing["metadata"]["uid"]
        known = self._workers.get(uid)
        if known is not None:
            known[0].wake(gone=change.kind == "DELETED")
        elif change.kind == "DELETED":
            self._do(self._clear(uid))
        else:
            self._begin(thing)

    def _begin(self, pod: Object, found: list[Object] | None = None) -> None:
        uid = pod["metadata"]["uid"]
        over = pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
        if uid in self._workers or (over and "deletionTimestamp" not in pod["metadata"]):
            return
        worker = Worker(self, pod, found or [])
        task = asyncio.create_task(worker.run())
        self._workers[uid] = (worker, task)
        task.add_done_callback(lambda done: self._ended(uid, done))

    def _ended(self, uid: str, task: asyncio.Task[None]) -> None:
        if task.cancelled() or self._workers.get(uid, (None, None))[1] is not task:
            return
        worker, _ = self._workers.pop(uid)
        error = task.exception()
        if error is None or isinstance(error, EngineGone):
            return
        _LOG.error("pod %s", "/".join(worker.key), exc_info=error)
        self._do(self._again(worker))

    async def _again(self, worker: Worker) -> None:
        """Take a pod up once more after a fault that was not its own."""
        await asyncio.sleep(_AFTER_A_FAULT)
        found = await self.engine.containers(f"{creation.POD}={worker.uid}")
        pod = self.api.find("pods", *worker.key)
        if pod is not None and pod["metadata"]["uid"] == worker.uid:
            self._begin(pod, sorted(found, key=lambda one: int(one["Created"])))

    async def _clear(self, uid: str) -> None:
        """Remove what is left of a pod that had ended."""
        for one in await self.engine.containers(f"{creation.POD}={uid}"):
            await self.engine.remove(one["Id"])
        self.volumes(uid).remove()

    def _do(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._chores.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._chores.discard(task)
        if not task.cancelled() and (error := task.exception()) and not isinstance(error, EngineGone):
            _LOG.error("a chore of the node", exc_info=error)

    def _say(self, *, ready: bool, why: str = "", engine: str = "") -> None:
        condition(self.api, ready=ready, why=why, engine=engine)
        for pod in (
            [] if ready else [one for one in self.api.each("pods") if self._ours(one) and is_ready(one)]
        ):
            conditions = [
                {**one, "status": "False", "reason": "NodeNotReady"} if one["type"] == "Ready" else one
                for one in pod["status"]["conditions"]
            ]
            self.api.patch(
                built_in("pods"), *key_of(pod), {"status": {"conditions": conditions}}, status=True
            )


def announce(api: Api, amounts: dict[str, str]) -> None:
    """Have the node among the cluster's objects, with what this machine has."""
    old = api.find("nodes", "", NODE)
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    labels = {
        LABEL: NAME,
        "kubernetes.io/hostname": NODE,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": machine,
    }
    if old is None:
        taint = {"key": NOT_READY, "effect": "NoSchedule"}
        thing = {"metadata": {"name": NODE, "labels": labels}, "spec": {"taints": [taint]}, "status": {}}
        api.create(built_in("nodes"), "", thing)
    elif old["metadata"]["labels"].get(LABEL) != NAME:
        api.patch(built_in("nodes"), "", NODE, {"metadata": {"labels": labels}})
    status = {
        **(api.find("nodes", "", NODE) or {}).get("status", {}),
        "capacity": amounts,
        "allocatable": amounts,
    }
    api.patch(built_in("nodes"), "", NODE, {"status": status}, status=True)


def condition(api: Api, *, ready: bool, why: str = "", engine: str = "") -> None:
    """Say whether the node takes pods."""
    node = api.find("nodes", "", NODE)
    if node is None:
        return
    status = {**node.get("status", {})}
    was = [one["status"] for one in status.get("conditions") or () if one["type"] == "Ready"]
    word, reason = ("True", "KubeletReady") if ready else ("False", "ContainerEngineDown")
    conditions = set_condition(
        list(status.get("conditions") or ()), "Ready", word, reason, why or "its pods are containers"
    )
    status["conditions"] = [
        {key: value for key, value in one.items() if key != "lastUpdateTime"} for one in conditions
    ]
    status["addresses"] = [
        {"type": "InternalIP", "address": "127.0.0.1"},
        {"type": "Hostname", "address": NODE},
    ]
    if engine:
        release = platform.freedesktop_os_release() if Path("/etc/os-release").exists() else {}
        status["nodeInfo"] = {
            "kubeletVersion": "v1.37.0-workbook",
            "osImage": release.get("PRETTY_NAME", "Linux"),
            "kernelVersion": platform.release(),
            "containerRuntimeVersion": engine,
            "architecture": node["metadata"]["labels"]["kubernetes.io/arch"],
            "operatingSystem": "linux",
            "machineID": "",
            "systemUUID": "",
            "bootID": "",
            "kubeProxyVersion": "",
        }
    api.update(built_in("nodes"), "", NODE, {**node, "metadata": {}, "status": status}, status=True)
    others = [one for one in (node["spec"].get("taints") or ()) if one["key"] != NOT_READY]
    mine = [] if ready else [{"key": NOT_READY, "effect": "NoSchedule"}]
    api.patch(built_in("nodes"), "", NODE, {"spec": {"taints": [*others, *mine] or None}})
    if was != [word]:
        now = "NodeReady" if ready else "NodeNotReady"
        record(api, node, now, f"Node {NODE} status is now: {now}", "kubelet")
