"""One container of a pod, from its image to its last end: started, probed, started again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, Protocol

from labkit.clusters.embedded.agents import creation, images, probes
from labkit.clusters.embedded.agents.engine import Engine, EngineError, EngineGone
from labkit.clusters.embedded.agents.settings import Lacking
from labkit.clusters.embedded.agents.status import Run, terminated
from labkit.clusters.embedded.api import moment, timestamp

Object = dict[str, Any]
FIRST_DELAY, LONGEST_DELAY, FORGIVEN = 10.0, 300.0, 600.0
"""Seconds before the second start again, before any, and of running after which all is forgotten."""
LOOK_AGAIN = 2.0
"""Seconds until what was lacking is looked for again."""


class Host(Protocol):
    """The pod, as its containers see it."""

    engine: Engine
    cluster: str
    address: str
    sandbox: str
    ending: bool

    @property
    def pod(self) -> Object:
        """The pod's object."""
        ...

    def note(self, reason: str, message: str, kind: str = "Normal") -> None:
        """Write an event about the pod."""
        ...

    def changed(self) -> None:
        """Be told that a container's state is another."""
        ...

    def settle(self, container: Object) -> tuple[dict[str, str], list[str]]:
        """A container's environment and mounts."""
        ...

    def attempt_name(self, container: str, attempt: int) -> str:
        """The engine's name for a start of a container."""
        ...

    async def prune(self, container: str, keep: str, before: str) -> None:
        """Remove ended containers of that name but two."""
        ...


class Life:
    """Keeps one container going as the pod asks.

    Args:
        host: The pod.
        run: What is known of it so far; changed in place.
        policy: When it is started again: `Always`, `OnFailure`, `Never`.
    """

    def __init__(self, host: Host, run: Run, policy: str) -> None:
        self.host, self.run, self.policy = host, run, policy
        self._before = ""
        self._delay = 0.0
        self._probers: list[asyncio.Task[None]] = []
        self._killing: asyncio.Task[None] | None = None

    async def keep(self) -> None:
        """Go on until it has ended for good, or the pod ends."""
        run = self.run
        try:
            if run.running:
                self.attend(adopted=True)
            while not self.host.ending:
                if run.running:
                    await self._until_end()
                if run.ended:
                    if not self._again():
                        return
                    await self._back_off()
                await self._begin()
        finally:
            self._stop_probes()

    async def end(self, until: Callable[[], float], *, hook: bool = True) -> None:
        """End the container: its hook, SIGTERM, and SIGKILL when the time is over.

        Args:
            until: Gives the seconds that are left; a second request to delete a pod may shorten them.
            hook: Whether its preStop hook is run.
        """
        run, engine = self.run, self.host.engine
        if not run.running:
            return
        self._stop_probes()
        action = (run.spec.get("lifecycle") or {}).get("preStop") if hook else None
        if action:
            wrong = await self._hook(action, max(until(), 1.0))
            if wrong:
                self.host.note("FailedPreStopHook", f"PreStopHook failed: {wrong}", "Warning")
        inspected = await engine.inspect(run.id)
        await engine.kill(run.id, str((inspected.get("Config") or {}).get("StopSignal") or "SIGTERM"))
        waiting = asyncio.create_task(engine.wait(run.id))
        try:
            while not waiting.done() and (left := until()) > 0:
                await asyncio.wait([waiting], timeout=min(left, 0.25))
            if not waiting.done():
                await engine.kill(run.id, "SIGKILL")
            await waiting
        finally:
            waiting.cancel()

    # ---- starting ---------------------------------------------------------------------------------------

    async def _begin(self) -> None:
        """Start it. What is lacking is said, and waited for."""
        run, host = self.run, self.host
        image = await self._image()
        if image is None:
            return
        try:
            variables, binds = host.settle(run.spec)
            body = creation.app(
                host.cluster, host.pod, run.spec, image, sandbox=host.sandbox, variables=variables,
                binds=binds, attempt=run.restarts,
            )  # fmt: skip
        except Lacking as lacking:
            run.wait("CreateContainerConfigError", str(lacking))
            host.note("Failed", f"Error: {lacking}", "Warning")
            host.changed()
            await asyncio.sleep(LOOK_AGAIN)
            return
        name = host.attempt_name(run.name, run.restarts)
        await host.engine.remove(name)
        try:
            started = await host.engine.start(name, body)
        except EngineError as error:
            self._refused(str(error))
            return
        await host.prune(run.name, started, self._before)
        run.id, run.image_id = started, str(image["Id"])
        run.state = {"running": {"startedAt": timestamp()}}
        host.note("Created", f"Created container: {run.name}")
        host.note("Started", f"Started container {run.name}")
        self.attend()
        host.changed()

    def _refused(self, why: str) -> None:
        """The engine can't start it: its command is not there, mostly."""
        run, host = self.run, self.host
        host.note("Failed", f"Error: failed to start container: {why}", "Warning")
        now = timestamp()
        run.state = {
            "terminated": {
                "exitCode": 128 if "executable file not found" not in why else 127,
                "reason": "StartError",
                "message": why[:1024],
                "startedAt": now,
                "finishedAt": now,
            }
        }
        host.changed()

    async def _image(self) -> Object | None:
        """The image, there at last; None if the pod ends before."""
        run, host, delay = self.run, self.host, FIRST_DELAY
        name, policy = run.spec["image"], run.spec["imagePullPolicy"]
        while not host.ending:
            found = None
            try:
                found = await images.find(host.engine, name)
                if found is not None and policy != "Always":
                    host.note("Pulled", f'Container image "{name}" already present on machine')
                    return found
                if policy == "Never":
                    raise images.NoImage(
                        "ErrImageNeverPull",
                        f'Container image "{name}" is not present with pull policy of Never',
                    )
                host.note("Pulling", f'Pulling image "{name}"')
                begun = asyncio.get_running_loop().time()
                pulled = await images.pull(host.engine, name)
                took = asyncio.get_running_loop().time() - begun
                host.note("Pulled", f'Successfully pulled image "{name}" in {took:.3g}s')
                return pulled
            except images.NoImage as missing:
                if found is not None:
                    host.note(
                        "Pulled",
                        f'Container image "{name}" is taken as this machine has it: no registry gives it ({missing}). '
                        "A cluster of several machines would say ErrImagePull.",
                        "Warning",
                    )
                    return found
                await self._without(missing, delay)
                delay = min(2 * delay, LONGEST_DELAY)
        return None

    async def _without(self, missing: images.NoImage, delay: float) -> None:
        """Say that there is no image and wait; one that comes meanwhile is seen soon."""
        run, host, name = self.run, self.host, self.run.spec["image"]
        run.wait(missing.reason, str(missing))
        if missing.reason == "ErrImagePull":
            host.note("Failed", f'Failed to pull image "{name}": {missing}', "Warning")
        host.note("Failed", f"Error: {missing.reason}", "Warning")
        host.changed()
        loop = asyncio.get_running_loop()
        until = loop.time() + delay
        await asyncio.sleep(1)
        if missing.reason == "ErrImagePull":
            run.wait("ImagePullBackOff", f'Back-off pulling image "{name}": ErrImagePull: {missing}')
            host.note("BackOff", f'Back-off pulling image "{name}"')
            host.note("Failed", "Error: ImagePullBackOff", "Warning")
            host.changed()
        while loop.time() < until and not host.ending:
            if await images.find(host.engine, name) is not None:
                return
            await asyncio.sleep(LOOK_AGAIN / 2)

    # ---- running ----------------------------------------------------------------------------------------

    @property
    def _place(self) -> probes.Place:
        run, host = self.run, self.host
        ports = {one["name"]: one["containerPort"] for one in run.spec.get("ports") or () if one.get("name")}
        return probes.Place(host.engine, run.id, host.address, ports)

    def attend(self, *, adopted: bool = False) -> None:
        """Run its hook and ask its probes, from now on; one that is adopted is as ready as it was."""
        self._stop_probes()
        run = self.run
        if not adopted:
            run.started, run.ready = "startupProbe" not in run.spec, False
        if not adopted and (action := (run.spec.get("lifecycle") or {}).get("postStart")):
            self._probe(self._post_start(action))
        if run.started:
            self._attend_started()
        else:
            self._probe(
                probes.watch(run.spec["startupProbe"], self._place, self._hear_startup, ran=self._ran())
            )

    def _attend_started(self) -> None:
        run = self.run
        run.started = True
        if probe := run.spec.get("readinessProbe"):
            self._probe(probes.watch(probe, self._place, self._hear_readiness, ran=self._ran()))
        else:
            run.ready = True
        if probe := run.spec.get("livenessProbe"):
            self._probe(probes.watch(probe, self._place, self._hear_liveness, ran=self._ran()))

    def _probe(self, work: Coroutine[Any, Any, None]) -> None:
        self._probers.append(asyncio.create_task(work))

    def _stop_probes(self) -> None:
        for task in self._probers:
            task.cancel()
        self._probers.clear()

    def _ran(self) -> float:
        since = moment(self.run.state["running"]["startedAt"])
        return max(0.0, (datetime.now(UTC) - since).total_seconds() - 1)

    def _hear_startup(self, answer: probes.Answer) -> bool:
        if answer.good and answer.believed:
            self._attend_started()
            self.host.changed()
            return True
        return self._hear_bad("Startup", answer)

    def _hear_readiness(self, answer: probes.Answer) -> bool:
        if not answer.good:
            self.host.note("Unhealthy", f"Readiness probe failed: {answer.wrong}", "Warning")
        if answer.believed and self.run.ready != answer.good:
            self.run.ready = answer.good
            self.host.changed()
        return False

    def _hear_liveness(self, answer: probes.Answer) -> bool:
        return self._hear_bad("Liveness", answer)

    def _hear_bad(self, kind: str, answer: probes.Answer) -> bool:
        if answer.good:
            return False
        self.host.note("Unhealthy", f"{kind} probe failed: {answer.wrong}", "Warning")
        if not answer.believed:
            return False
        probe = self.run.spec[f"{kind.lower()}Probe"]
        grace = probe.get("terminationGracePeriodSeconds")
        self._kill(f"Container {self.run.name} failed {kind.lower()} probe, will be restarted", grace)
        return True

    def _kill(self, why: str, grace: float | None = None) -> None:
        """End it so that it is started again."""
        self.host.note("Killing", why)
        seconds = float(grace or self.host.pod["spec"].get("terminationGracePeriodSeconds", 30))
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        self._killing = asyncio.create_task(self._end_quietly(lambda: until - loop.time()))

    async def _end_quietly(self, until: Callable[[], float]) -> None:
        with contextlib.suppress(EngineError, EngineGone):
            await self.end(until)

    async def _post_start(self, action: Object) -> None:
        if wrong := await self._hook(action, 60.0):
            self.host.note("FailedPostStartHook", f"PostStartHook failed: {wrong}", "Warning")
            self._kill("FailedPostStartHook")

    async def _hook(self, action: Object, seconds: float) -> str:
        if pause := action.get("sleep"):
            await asyncio.sleep(min(float(pause.get("seconds", 0)), seconds))
            return ""
        return await probes.ask(action, self._place, seconds)

    # ---- ending -----------------------------------------------------------------------------------------

    async def _until_end(self) -> None:
        run, host = self.run, self.host
        try:
            await host.engine.wait(run.id)
            found = terminated(await host.engine.inspect(run.id))
        except EngineError as error:
            if error.code != 404:
                raise
            found = lost(run)
        self._stop_probes()
        if self._killing is not None:
            self._killing.cancel()
            self._killing = None
        run.state, run.ready, run.started = {"terminated": found}, False, False
        host.changed()

    def _again(self) -> bool:
        code = (self.run.ended or {}).get("exitCode")
        return self.policy == "Always" or (self.policy == "OnFailure" and code != 0)

    async def _back_off(self) -> None:
        """Wait before the next start: not at all the first time, then longer and longer."""
        run, host = self.run, self.host
        ended = run.ended or {}
        if (moment(ended["finishedAt"]) - moment(ended["startedAt"])).total_seconds() > FORGIVEN:
            self._delay = 0.0
        run.last, self._before = {"terminated": ended}, run.id
        if self._delay:
            pod = host.pod["metadata"]
            named = f"{run.name} pod={pod['name']}_{pod['namespace']}({pod['uid']})"
            message = f"back-off {_shown(self._delay)} restarting failed container={named}"
            run.wait("CrashLoopBackOff", message)
            host.note("BackOff", f"Back-off restarting failed container {named}", "Warning")
            host.changed()
            await asyncio.sleep(self._delay)
        self._delay = min(max(2 * self._delay, FIRST_DELAY), LONGEST_DELAY)
        run.restarts += 1


def lost(run: Run) -> Object:
    """How a container ended that nobody saw ending."""
    now = timestamp()
    return {
        "exitCode": 137,
        "reason": "ContainerStatusUnknown",
        "message": "The container could not be located when the pod was terminated",
        "startedAt": run.state.get("running", {}).get("startedAt", now),
        "finishedAt": now,
    }


def _shown(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
