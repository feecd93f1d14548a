"""One pod on a container node: its network, its volumes, its containers in order, and its end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from labkit.clusters.embedded.agents import creation, naming
from labkit.clusters.embedded.agents.engine import EngineError
from labkit.clusters.embedded.agents.life import LOOK_AGAIN, Life, lost
from labkit.clusters.embedded.agents.node import Node
from labkit.clusters.embedded.agents.settings import Lacking, environment
from labkit.clusters.embedded.agents.status import Run, phase_of, runs_of, status_of, terminated
from labkit.clusters.embedded.api import moment
from labkit.clusters.embedded.controllers.base import record
from labkit.clusters.embedded.errors import ApiError
from labkit.clusters.embedded.resources import built_in

Object = dict[str, Any]
_DISK_SECONDS = 5.0
_ENDPOINTS_SECONDS = 2.0


class Worker:
    """Keeps one pod as it is asked for, from its first container to its last.

    Args:
        node: Where it is.
        pod: The pod.
        found: Its containers that are there already, newest last.
    """

    def __init__(self, node: Node, pod: Object, found: Sequence[Object] = ()) -> None:
        self._node, self._pod = node, pod
        self.engine, self.cluster = node.engine, node.cluster
        self.uid = str(pod["metadata"]["uid"])
        self.key = (pod["metadata"]["namespace"], pod["metadata"]["name"])
        self.sandbox, self.address, self.ending = "", "", False
        self.volumes = node.volumes(self.uid)
        self._gone = False
        self._wake = asyncio.Event()
        self._dirty = False
        self._evicted = ""
        spec, status = pod["spec"], pod.get("status", {})
        self.inits = runs_of(spec.get("initContainers") or (), status.get("initContainerStatuses") or ())
        self.apps = runs_of(spec["containers"], status.get("containerStatuses") or ())
        self._found = found
        self._lives: dict[str, Life] = {}

    # ---- what containers ask of it (labkit.clusters.embedded.agents.life.Host) -------------------------

    @property
    def pod(self) -> Object:
        """The pod's object, as it is now or was last."""
        now = self._node.api.find("pods", *self.key)
        if now is not None and now["metadata"]["uid"] == self.uid:
            self._pod = now
        return self._pod

    def note(self, reason: str, message: str, kind: str = "Normal") -> None:
        """Write an event about the pod."""
        record(self._node.api, self.pod, reason, message, "kubelet", kind)

    def changed(self) -> None:
        """Write the pod's status soon; several changes at once are one."""
        if not self._dirty:
            self._dirty = True
            asyncio.get_running_loop().call_soon(self._write)

    def settle(self, container: Object) -> tuple[dict[str, str], list[str]]:
        """A container's environment and mounts.

        Raises:
            Lacking: It asks for something that is not there.
        """
        node, pod = self._node, self.pod
        seen = {**pod, "status": {**pod.get("status", {}), "podIP": self.address, "hostIP": "127.0.0.1"}}
        variables = environment(node.api, seen, container, node.allocatable)
        hosts = self.volumes.write("hosts", naming.hosts(pod, self.address))
        names = self.volumes.write("resolv.conf", naming.resolver(self.key[0], node.gateway))
        binds = [f"{hosts}:/etc/hosts", f"{names}:/etc/resolv.conf:ro", *self.volumes.binds(pod, container)]
        return variables, binds

    def attempt_name(self, container: str, attempt: int) -> str:
        """The engine's name for a start of a container; never one that a Service could have."""
        return f"workbook-{self.cluster}-{self.key[1]}-{self.uid[:8]}-{container}-{attempt}"

    async def prune(self, container: str, keep: str, before: str) -> None:
        """Remove ended containers of that name but the newest and the one before it, for its log."""
        for one in await self.engine.containers(f"{creation.POD}={self.uid}"):
            if one["Labels"].get(creation.CONTAINER) == container and one["Id"] not in (keep, before):
                await self.engine.remove(one["Id"])

    # ---- from outside -----------------------------------------------------------------------------------

    def wake(self, *, gone: bool = False) -> None:
        """Be told that the pod's object changed, or is gone."""
        self._gone = self._gone or gone
        self._wake.set()

    def refresh(self) -> None:
        """Bring files of ConfigMaps, Secrets and labels up to date."""
        with contextlib.suppress(Lacking):
            self.volumes.lay(self.pod)

    async def run(self) -> None:
        """Live until the pod is over and gone.

        Raises:
            EngineGone: The engine ended; the pod is taken up again when it is back.
        """
        await self._adopt()
        deleted = asyncio.create_task(self._until_deleted())
        try:
            while not deleted.done():
                living = asyncio.create_task(self._live())
                try:
                    await asyncio.wait([living, deleted], return_when=asyncio.FIRST_COMPLETED)
                finally:
                    await _cancelled(living)
                if not living.cancelled() and living.exception() is None and living.result():
                    await deleted
                elif not living.cancelled() and (error := living.exception()) is not None:
                    if not isinstance(error, _SandboxLost):
                        raise error
                    await self._fell()
            await self._end()
        finally:
            deleted.cancel()
            self._write()

    # ---- living -----------------------------------------------------------------------------------------

    async def _adopt(self) -> None:
        """Take over containers that an earlier process of this cluster started."""
        by_name: dict[str, Object] = {}
        for one in self._found:
            labels = one["Labels"]
            if labels.get(creation.PAUSE) and one["State"] == "running":
                self.sandbox = str(one["Id"])
            elif name := labels.get(creation.CONTAINER):
                by_name[name] = one
        for run in (*self.inits, *self.apps):
            there = by_name.get(run.name)
            if there is not None and not run.ended:
                inspected = await self.engine.inspect(there["Id"])
                run.id, run.restarts = str(there["Id"]), int(there["Labels"][creation.ATTEMPT])
                since = inspected["State"]["StartedAt"][:19] + "Z"
                going = there["State"] == "running"
                run.state = (
                    {"running": {"startedAt": since}} if going else {"terminated": terminated(inspected)}
                )
            elif run.running:
                run.state = {"terminated": lost(run)}
        if self.sandbox:
            self.address = await self._address()
        elif self._found or any(run.id for run in self.apps):
            await self._fell()

    async def _fell(self) -> None:
        """The network is gone, and with it every container that was in it."""
        self.sandbox = self.address = ""
        for run in (*self.inits, *self.apps):
            if run.running:
                run.state = {"terminated": lost(run)}
        await self._remove_containers()
        self._lives.clear()

    async def _live(self) -> bool:
        """Run init containers, then the others; true when all are over for good.

        Raises:
            _SandboxLost: The pod's network is gone.
        """
        if self._over():
            await self._finish()
            return True
        await self._lay()
        if not self.sandbox:
            await self._make_sandbox()
        self.changed()
        watching = asyncio.create_task(self.engine.wait(self.sandbox))
        working = asyncio.create_task(self._work())
        measuring = asyncio.create_task(self._watch_disk())
        try:
            await asyncio.wait([watching, working, measuring], return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
            elif measuring.done():
                self._evicted = measuring.result()
                self.note("Evicted", self._evicted, "Warning")
                await self._stop(lambda: 0.0, hooks=False)
            else:
                raise _SandboxLost
        finally:
            for task in (watching, working, measuring):
                await _cancelled(task)
        await self._finish()
        return True

    def _over(self) -> bool:
        return self._phase() in ("Succeeded", "Failed")

    def _phase(self) -> str:
        return "Failed" if self._evicted else phase_of(self._policy, self.inits, self.apps)

    @property
    def _policy(self) -> str:
        return str(self._pod["spec"].get("restartPolicy", "Always"))

    async def _lay(self) -> None:
        while True:
            try:
                self.volumes.lay(self.pod)
            except Lacking as lacking:
                self.note("FailedMount", str(lacking), "Warning")
                self.changed()
                self._wake.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), LOOK_AGAIN)
            else:
                return

    async def _make_sandbox(self) -> None:
        node = self._node
        name = self.attempt_name("pause", 0)
        await self.engine.remove(name)
        while not self.sandbox:
            try:
                self.sandbox = await self.engine.start(
                    name, creation.pause(self.cluster, self.pod, node.pause, node.network)
                )
            except EngineError as error:
                self.note("FailedCreatePodSandBox", f"Failed to create pod sandbox: {error}", "Warning")
                await asyncio.sleep(LOOK_AGAIN)
        self.address = await self._address()

    async def _address(self) -> str:
        networks = (await self.engine.inspect(self.sandbox))["NetworkSettings"]["Networks"]
        return str(next(iter(networks.values()))["IPAddress"])

    async def _work(self) -> None:
        sidecars: list[asyncio.Task[None]] = []
        try:
            await self._in_order(sidecars)
        finally:
            for task in sidecars:
                await _cancelled(task)

    async def _in_order(self, sidecars: list[asyncio.Task[None]]) -> None:
        for run in self.inits:
            if run.sidecar:
                sidecars.append(asyncio.create_task(self._life(run, "Always").keep()))
                while not run.started:
                    await asyncio.sleep(0.05)
                continue
            if (run.ended or {}).get("exitCode") == 0:
                continue
            policy = "OnFailure" if self._policy == "Always" else self._policy
            await self._life(run, policy).keep()
            if (run.ended or {}).get("exitCode") != 0:
                return
        lives = [self._life(run, self._policy) for run in self.apps]
        await asyncio.gather(*(life.keep() for life in lives))

    def _life(self, run: Run, policy: str) -> Life:
        life = self._lives[run.name] = Life(self, run, policy)
        return life

    async def _watch_disk(self) -> str:
        """Look how full limited volumes are; gives the reason when one is too full."""
        limited = any(
            (v.get("emptyDir") or {}).get("sizeLimit") for v in self._pod["spec"].get("volumes") or ()
        )
        while limited:
            await asyncio.sleep(_DISK_SECONDS)
            used = await asyncio.to_thread(self.volumes.used, self._pod)
            for name, (held, most) in used.items():
                if held > most:
                    return f'Usage of EmptyDir volume "{name}" exceeds the limit "{most}". '
        await asyncio.Event().wait()
        return ""

    # ---- ending -----------------------------------------------------------------------------------------

    async def _until_deleted(self) -> None:
        while not self._gone and "deletionTimestamp" not in self.pod["metadata"]:
            self._wake.clear()
            await self._wake.wait()

    async def _end(self) -> None:
        """End all containers gracefully, then let the pod go."""
        self.ending = True
        if not self._over():
            for run in self.apps:
                if run.running:
                    self.note("Killing", f"Stopping container {run.name}")
            await self._until_no_endpoint()
            await self._stop(self._left, hooks=not self._gone)
        await self._finish()
        await self._remove_containers()
        self.volumes.remove()
        if not self._gone:
            self._write(final=True)
            with contextlib.suppress(ApiError):
                self._node.api.delete(
                    built_in("pods"), *self.key, {"gracePeriodSeconds": 0, "preconditions": {"uid": self.uid}}
                )

    def _left(self) -> float:
        """Seconds until it is killed: by its object, which a second request may have changed."""
        metadata = self.pod["metadata"]
        if self._gone or "deletionTimestamp" not in metadata:
            return 0.0
        # The time stands there in whole seconds, cut off: one more, so that it is never less than was asked.
        return (moment(metadata["deletionTimestamp"]) - datetime.now(UTC)).total_seconds() + 1.0

    async def _until_no_endpoint(self) -> None:
        """Wait until no Service sends anything here any more."""
        loop = asyncio.get_running_loop()
        until = loop.time() + _ENDPOINTS_SECONDS
        while self._serves() and loop.time() < until and not self._gone:
            await asyncio.sleep(0.01)

    def _serves(self) -> bool:
        slices = self._node.api.each("endpointslices.discovery.k8s.io", self.key[0])
        return any(
            (one.get("targetRef") or {}).get("uid") == self.uid and one["conditions"].get("ready")
            for each in slices
            for one in each.get("endpoints") or ()
        )

    async def _stop(self, until: Callable[[], float], *, hooks: bool) -> None:
        """End what runs, all at once, and note how each ended."""

        async def one(run: Run) -> None:
            life = self._lives.get(run.name) or self._life(run, "Never")
            try:
                await life.end(until, hook=hooks)
                found = terminated(await self.engine.inspect(run.id))
            except EngineError:
                found = lost(run)
            run.state, run.ready, run.started = {"terminated": found}, False, False

        await asyncio.gather(*(one(run) for run in (*self.apps, *self.inits) if run.running))

    async def _finish(self) -> None:
        """The pod's network goes when nothing needs it; ended containers stay for their logs."""
        await self._stop(lambda: 2.0, hooks=False)
        if self.sandbox:
            await self.engine.remove(self.sandbox)
            self.sandbox = ""
        self.changed()

    async def _remove_containers(self) -> None:
        there = await self.engine.containers(f"{creation.POD}={self.uid}")
        await asyncio.gather(*(self.engine.remove(one["Id"]) for one in there))

    # ---- what it says -----------------------------------------------------------------------------------

    def _write(self, *, final: bool = False) -> None:
        self._dirty = False
        now = self._node.api.find("pods", *self.key)
        if now is None or now["metadata"]["uid"] != self.uid:
            return
        phase = self._phase()
        if final and phase not in ("Succeeded", "Failed"):
            codes = [(run.ended or {}).get("exitCode") for run in self.apps]
            phase = "Succeeded" if all(code == 0 for code in codes) else "Failed"
        status = status_of(now, self.inits, self.apps, self.address, phase)
        if self._evicted:
            status |= {"reason": "Evicted", "message": self._evicted}
        if status != now.get("status"):
            with contextlib.suppress(ApiError):
                self._node.api.update(
                    built_in("pods"), *self.key, {**now, "metadata": {}, "status": status}, status=True
                )


class _SandboxLost(Exception):
    """The container that held a pod's network ended."""


async def _cancelled(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait until it is over; what it raised is for others to look at."""
    task.cancel()
    await asyncio.wait([task])
