"""Which container a request means, and whether it can be had; then the stream itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import web

from labkit.clusters.embedded import errors
from labkit.clusters.embedded.agents import container as container_node
from labkit.clusters.embedded.agents import creation
from labkit.clusters.embedded.agents.engine import Engine, EngineError, EngineGone
from labkit.clusters.embedded.errors import ApiError
from labkit.clusters.embedded.requests import flag
from labkit.clusters.embedded.streams import commands, forward, logs

Object = dict[str, Any]
_DEFAULT = "kubectl.kubernetes.io/default-container"


class Streams:
    """Serves the streams of the pods of a container node.

    Args:
        engine: Where they run.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def serve(self, request: web.Request, pod: Object, what: str) -> web.StreamResponse:
        """Serve one request.

        Args:
            request: The request.
            pod: The pod that it is about.
            what: `log`, `exec`, `attach` or `portforward`.

        Raises:
            ApiError: The pod has no such container, or it can't be had now.
        """
        if pod["spec"].get("nodeName") not in (None, container_node.NODE):
            raise errors.not_here(f"containers behind its simulated pods, so no {what}")
        try:
            if what == "portforward":
                if pod.get("status", {}).get("phase") != "Running":
                    phase = pod.get("status", {}).get("phase")
                    raise errors.bad_request(
                        f"unable to forward port because pod is not running. Current status={phase}"
                    )
                return await forward.forward(request, pod["status"]["podIP"])
            name = self._name(request, pod)
            if what == "log":
                return await logs.send(request, self._engine, await self._logged(request, pod, name))
            serve: Callable[..., Any] = commands.execute if what == "exec" else commands.attach
            answered: web.StreamResponse = await serve(request, self._engine, self._running(pod, name))
            return answered
        except EngineGone as gone:
            raise ApiError(
                503, "ServiceUnavailable", f"the container engine does not answer: {gone}"
            ) from None
        except EngineError as error:
            raise ApiError(500, "InternalError", f"Internal error occurred: {error}") from None

    def _name(self, request: web.Request, pod: Object) -> str:
        spec, metadata = pod["spec"], pod["metadata"]
        names = [one["name"] for one in spec["containers"]]
        inits = [one["name"] for one in spec.get("initContainers") or ()]
        asked = request.query.get("container") or (metadata.get("annotations") or {}).get(_DEFAULT)
        if asked in names or asked in inits:
            return str(asked)
        if asked:
            raise errors.bad_request(f"container {asked} is not valid for pod {metadata['name']}")
        if len(names) > 1:
            choice = f"choose one of: [{' '.join(names)}]"
            if inits:
                choice += f" or one of the init containers: [{' '.join(inits)}]"
            raise errors.bad_request(
                f"a container name must be specified for pod {metadata['name']}, {choice}"
            )
        return str(names[0])

    def _status(self, pod: Object, name: str) -> Object:
        status = pod.get("status", {})
        everyone = [*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())]
        return next((one for one in everyone if one["name"] == name), {})

    def _running(self, pod: Object, name: str) -> str:
        found = self._status(pod, name)
        if "running" not in (found.get("state") or {}):
            raise ApiError(
                500,
                "InternalError",
                f'Internal error occurred: unable to upgrade connection: container not found ("{name}")',
            )
        return str(found["containerID"]).removeprefix("docker://")

    async def _logged(self, request: web.Request, pod: Object, name: str) -> str:
        """The container whose log is meant; it may have ended."""
        there = await self._engine.containers(f"{creation.POD}={pod['metadata']['uid']}")
        mine = [one for one in there if one["Labels"].get(creation.CONTAINER) == name]
        mine.sort(key=lambda one: int(one["Labels"][creation.ATTEMPT]))
        if flag(request, "previous"):
            newest = str(self._status(pod, name).get("containerID", "")).removeprefix("docker://")
            waits = "waiting" in (self._status(pod, name).get("state") or {})
            mine = mine if waits else [one for one in mine if one["Id"] != newest]
            if not mine or not self._status(pod, name).get("lastState"):
                shown = f'previous terminated container "{name}" in pod "{pod["metadata"]["name"]}" not found'
                raise errors.bad_request(shown)
        if not mine:
            state = (self._status(pod, name).get("state") or {}).get("waiting") or {}
            reason = state.get("reason", "ContainerCreating")
            raise errors.bad_request(
                f'container "{name}" in pod "{pod["metadata"]["name"]}" is waiting to start: {_said(reason, state)}'
            )
        return str(mine[-1]["Id"])


def _said(reason: str, state: Object) -> str:
    return {
        "ErrImagePull": "image can't be pulled",
        "ImagePullBackOff": "trying and failing to pull image",
    }.get(reason, reason if not state.get("message") else f"{reason}: {state['message']}")
