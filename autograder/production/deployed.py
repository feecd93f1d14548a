"""A submission on a cluster: colours, Service, the labels service behind it, and what is done to them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any

import docker
import httpx

from autograder.production.contract import COLOURS, LABELS, LABELS_PORT, PORT, SERVICE
from autograder.production.manifests import Manifests, Object, at
from autograder.production.traffic import Traffic, body_of
from labkit.clusters.drains import evict
from labkit.clusters.embedded.agents.creation import PAUSE, POD
from labkit.clusters.embedded.cluster import EmbeddedCluster
from labkit.clusters.kubectl import Kubectl
from labkit.engines.base import Engine
from labkit.errors import WorkFault

ROLLOUT_SECONDS = 60.0
SMOKE_PAUSE_SECONDS = 0.01
"""Between two requests of a smoke test, which shares the machine with those that are served."""
_LABELS_IMAGE = "python:3.11-slim"


class Deployed:
    """A deployed submission; as a context manager it is taken away at the end.

    Args:
        cluster: Where.
        engine: The engine of its pods.
        manifests: The submission's.
        labels_program: The labels service's source.
        say: Told in a sentence what is done.
    """

    def __init__(
        self,
        cluster: EmbeddedCluster,
        engine: Engine,
        manifests: Manifests,
        labels_program: str,
        *,
        say: Callable[[str], None],
    ) -> None:
        self.kubectl = Kubectl(cluster.kubeconfig, "default")
        self._cluster, self._engine, self._manifests, self._say = cluster, engine, manifests, say
        self._labels = _labels_objects(labels_program)
        self._up: set[str] = set()
        self.live = str(at(manifests.service, "spec", "selector", "version") or COLOURS[0])

    @property
    def url(self) -> str:
        """Where the Service answers from this machine."""
        return self.kubectl.address(SERVICE, 80)

    @property
    def idle(self) -> str:
        """The colour that the Service does not send requests to."""
        return next(colour for colour in COLOURS if colour != self.live)

    def start(self, image: str, *, seconds: float = ROLLOUT_SECONDS) -> None:
        """Start the labels service, the live colour and the Service.

        Raises:
            WorkFault: The cluster refuses an object, or the pods don't get ready.
        """
        self._say("starting the labels service and the live colour")
        self._cluster.load_image(_LABELS_IMAGE)
        self.kubectl.apply([*self._labels, self._manifests.service])
        self.colour_up(self.live, image, seconds=seconds)
        self.kubectl("rollout", "status", f"deployment/{LABELS}", "--timeout=60s")

    def colour_up(self, colour: str, image: str, *, seconds: float, replicas: int | None = None) -> None:
        """Apply a colour and wait until it is rolled out.

        Args:
            colour: Which.
            image: The image of its containers.
            seconds: For how long it may take.
            replicas: How many at least; as its manifests say by default.

        Raises:
            WorkFault: The cluster refuses an object, or the pods are not ready in time; it says why.
        """
        self._up.add(colour)
        self.kubectl.apply(self._manifests.with_image(colour, image))
        deadline = time.monotonic() + seconds
        try:
            self._rolled_out(colour, deadline)
            # One after the other: pods that start take the processor from those that serve.
            for count in range(self.replicas(colour) + 1, (replicas or 0) + 1):
                self.kubectl("scale", f"deployment/{self.deployment(colour)}", f"--replicas={count}")
                self._rolled_out(colour, deadline)
        except WorkFault as fault:
            raise WorkFault(
                f"{colour} was not rolled out within {seconds:.0f} s.", why=self._why(colour)
            ) from fault

    def _rolled_out(self, colour: str, deadline: float) -> None:
        """Wait until a colour has all its pods ready."""
        seconds = min(max(deadline - time.monotonic(), 1), 80)
        self.kubectl(
            "rollout", "status", f"deployment/{self.deployment(colour)}", f"--timeout={seconds:.0f}s"
        )

    def colour_down(self, colour: str) -> None:
        """Take a colour away with all that belongs to it."""
        self._delete(self._manifests.colours[colour])
        self._up.discard(colour)

    def _listed(self, kind: str, *more: str) -> list[Object]:
        found: list[Object] = self.kubectl.get(kind, *more)["items"]
        return found

    def _delete(self, objects: list[Object]) -> None:
        """Delete objects and wait until they are gone; those that are gone already are no fault."""
        documents = "\n---\n".join(json.dumps(each) for each in objects)
        self.kubectl("delete", "--ignore-not-found", "-f", "-", stdin=documents)

    def deployment(self, colour: str) -> str:
        """The name of its Deployment."""
        return str(self._manifests.one(colour, "Deployment")["metadata"]["name"])

    def switch(self, colour: str) -> float:
        """Let the Service send requests to that colour; gives when, Unix seconds."""
        patch = f'{{"spec": {{"selector": {{"version": "{colour}"}}}}}}'
        self.kubectl("patch", "service", SERVICE, "-p", patch)
        self.live = colour
        return time.time()

    def smoke(self, colour: str, requests: int) -> int:
        """Ask a colour's pods that many usual requests, in turn; gives how many were not answered rightly."""
        traffic = Traffic()
        addresses = [each["status"]["podIP"] for each in self.pods(colour)]
        wrong = 0
        with httpx.Client(
            trust_env=False, timeout=2.0, headers={"Content-Type": "application/json"}
        ) as client:
            for number in range(requests):
                body = body_of(traffic.usual[number % len(traffic.usual)])
                try:
                    url = f"http://{addresses[number % len(addresses)]}:{PORT}/predict"
                    answer = client.post(url, content=body)
                    wrong += not (answer.status_code == 200 and traffic.is_right(body, answer.content))
                    time.sleep(SMOKE_PAUSE_SECONDS)
                except (httpx.HTTPError, ValueError, KeyError, TypeError, ZeroDivisionError):
                    wrong += 1
        return wrong

    # ---- what it is seen to be ----------------------------------------------------------------------------

    def pods(self, colour: str) -> list[Object]:
        """The colour's pods that are ready and not about to go."""
        found = self._listed("pods", f"--selector=app={SERVICE},version={colour}")
        return [each for each in found if not each["metadata"].get("deletionTimestamp") and _ready(each)]

    def replicas(self, colour: str) -> int:
        """How many pods of a colour are ready."""
        return len(self.pods(colour))

    def _why(self, colour: str) -> str:
        """What keeps a colour's pods from being ready, in the cluster's words."""
        pods = self._listed("pods", f"--selector=app={SERVICE},version={colour}")
        for pod in pods:
            for each in at(pod, "status", "containerStatuses") or []:
                waiting = at(each, "state", "waiting") or at(each, "lastState", "terminated") or {}
                if waiting.get("reason"):
                    said = self._last_words(pod["metadata"]["name"])
                    return f"{waiting['reason']}: {waiting.get('message') or said}"[:300]
        events = self._listed("events")
        warnings = [each.get("message", "") for each in events if each.get("type") == "Warning"]
        return str(warnings[-1])[:300] if warnings else "Its pods say nothing." if pods else "It has no pods."

    def _last_words(self, pod: str) -> str:
        try:
            lines = self.kubectl("logs", pod, "--tail=3").splitlines()
        except WorkFault:
            return ""
        return lines[-1] if lines else ""

    # ---- what is done to it -------------------------------------------------------------------------------

    def delete_pod(self) -> str | None:
        """Delete one live pod gracefully; gives its name, or None if none is ready."""
        ready = self.pods(self.live)
        if not ready:
            return None
        name = str(ready[0]["metadata"]["name"])
        self.kubectl("delete", "pod", name, "--wait=false")
        return name

    def kill_pod(self) -> str | None:
        """Kill one live pod's processes at once, as a machine's failure does; its name, or None likewise."""
        ready = self.pods(self.live)
        if not ready:
            return None
        pod = ready[0]["metadata"]
        client = docker.DockerClient(base_url=self._cluster.engine)
        try:
            for each in client.containers.list():
                if each.labels.get(POD) == pod["uid"] and PAUSE not in each.labels:
                    each.kill()
        finally:
            client.close()
        return str(pod["name"])

    def drain(self, *, seconds: float = 40.0) -> int:
        """Evict the live pods one after the other, as `kubectl drain` does; gives how many went.

        This machine is the only node whose pods are containers: each comes back on it, so that it is not
        cordoned.
        """
        gone = 0
        deadline = time.monotonic() + seconds
        for pod in self.pods(self.live):
            with suppress(WorkFault):  # its budget allowed no disruption in time
                evict(self.kubectl, pod["metadata"]["name"], deadline)
                gone += 1
        return gone

    def labels_away(self) -> None:
        """Take the labels service away."""
        self.kubectl("scale", f"deployment/{LABELS}", "--replicas=0")

    def labels_back(self) -> None:
        """Bring the labels service back, and wait for it."""
        self.kubectl("scale", f"deployment/{LABELS}", "--replicas=1")
        self.kubectl("rollout", "status", f"deployment/{LABELS}", "--timeout=30s")

    @contextmanager
    def later(self, seconds: float, action: Callable[[], Any]) -> Iterator[Future[Any]]:
        """Do something so many seconds from now, beside what the block does."""
        promised: Future[Any] = Future()

        def do() -> None:
            time.sleep(seconds)
            try:
                promised.set_result(action())
            except BaseException as error:
                promised.set_exception(error)

        thread = threading.Thread(target=do, daemon=True)
        thread.start()
        yield promised
        thread.join()

    def __enter__(self) -> Deployed:
        """Nothing is deployed yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take all of it away."""
        for colour in list(self._up):
            self.colour_down(colour)
        self._delete([*self._labels, self._manifests.service])


def _ready(pod: Object) -> bool:
    return any(
        each["type"] == "Ready" and each["status"] == "True" for each in at(pod, "status", "conditions") or []
    )


def _labels_objects(program: str) -> list[Object]:
    """The labels service: its program, one pod and its Service."""
    labels = {"app": LABELS}
    container = {
        "name": "labels",
        "image": _LABELS_IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "/app/labels.py"],
        "ports": [{"containerPort": LABELS_PORT}],
        "readinessProbe": {"httpGet": {"path": "/health", "port": LABELS_PORT}, "periodSeconds": 1},
        "volumeMounts": [{"name": "program", "mountPath": "/app"}],
        "resources": {"requests": {"cpu": "100m", "memory": "32Mi"}},
    }
    pod = {
        "terminationGracePeriodSeconds": 1,
        "containers": [container],
        "volumes": [{"name": "program", "configMap": {"name": LABELS}}],
    }
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": LABELS},
            "data": {"labels.py": program},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": LABELS},
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": LABELS},
            "spec": {"selector": labels, "ports": [{"port": LABELS_PORT, "targetPort": LABELS_PORT}]},
        },
    ]
