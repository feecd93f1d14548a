"""Single replicas of a Deployment put into trouble, and what its probes and budget allow, in numbers."""

import copy
import math
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from autograder.rubric import progress
from labkit.clusters.kubectl import Kubectl
from labkit.clusters.rollouts import wait_for_rollout
from labkit.errors import WorkFault

Object = dict[str, Any]
PORT = 8080
_TELL = (
    "import socket, sys, time; s = socket.create_connection(('127.0.0.1', 8080)); "
    "s.sendall(sys.argv[1].encode() + b' HTTP/1.1\\r\\n\\r\\n'); time.sleep(0.3)"
)


# ---- what the manifest says -------------------------------------------------------------------------------


def port_of(container, port):
    """A port by number, or by the name that the container gives it; None if it has none of that name."""
    if isinstance(port, int):
        return port
    named = {one.get("name"): one["containerPort"] for one in container.get("ports") or ()}
    return named.get(port)


def kill_after(container):
    """Seconds that a container has to answer for the first time, before it is killed."""
    probe = container.get("startupProbe") or container["livenessProbe"]
    return probe.get("initialDelaySeconds", 0) + probe["periodSeconds"] * probe["failureThreshold"]


def restart_after(container):
    """Seconds after which liveness finds that a running container answers nothing."""
    probe = container["livenessProbe"]
    return probe["periodSeconds"] * probe["failureThreshold"] + probe["timeoutSeconds"]


@dataclass(frozen=True)
class Budget:
    """A PodDisruptionBudget, with Kubernetes' defaults."""

    thing: Object

    @property
    def labels(self):
        """What it selects by."""
        return (self.thing["spec"].get("selector") or {}).get("matchLabels") or {}

    def covers(self, labels):
        """Whether pods with these labels are under it."""
        return bool(self.labels) and labels.items() >= self.labels.items()

    def allows(self, replicas):
        """How many of that many replicas may be away at a time; Kubernetes rounds percentages up."""
        spec = self.thing["spec"]
        if "maxUnavailable" in spec:
            return min(_count(spec["maxUnavailable"], replicas), replicas)
        return max(0, replicas - _count(spec.get("minAvailable", 1), replicas))


def _count(value, replicas):
    if isinstance(value, str):
        return math.ceil(replicas * int(value.removesuffix("%")) / 100)
    return value


# ---- replicas in trouble ----------------------------------------------------------------------------------


class Trials:
    """Deployments of one replica each, made from the learner's, in a namespace of their own.

    Args:
        space: Where.
        deployment: The learner's.
    """

    def __init__(self, space, deployment):
        self.space, self._deployment = space, deployment

    def start(self, name, **environment):
        """One replica of that name, with a Service of that name before it."""
        thing = copy.deepcopy(self._deployment)
        labels = {"trial": name}
        thing["metadata"] = {"name": name}
        thing["spec"]["replicas"] = 1
        thing["spec"]["selector"]["matchLabels"] |= labels
        template = thing["spec"]["template"]
        template["metadata"]["labels"] |= labels
        container = template["spec"]["containers"][0]
        kept = [one for one in container.get("env") or () if one["name"] not in environment]
        container["env"] = kept + [{"name": key, "value": value} for key, value in environment.items()]
        spec = {"selector": labels, "ports": [{"port": 80, "targetPort": PORT}]}
        service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}
        self.space.learner.apply(thing)
        self.space.owner.apply(service)

    def address(self, name):
        """Where requests for it go."""
        return self.space.owner.address(name, 80)

    def pod(self, name):
        """Its pod.

        Raises:
            WorkFault: There is none after ten seconds; says why, if the cluster does.
        """
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            found = self.space.owner.get("pods", f"--selector=trial={name}")["items"]
            if found:
                return Pod(self.space.owner, found[0]["metadata"]["name"])
            time.sleep(0.5)
        wait_for_rollout(self.space.owner, name, seconds=1)
        raise WorkFault(f"Deployment {name} has no pod.")


@dataclass(frozen=True)
class Seen:
    """A pod at one moment.

    Attributes:
        ready: Whether it is, by its probes.
        restarts: How often its containers were started anew.
        ready_after: Seconds from its container's start until it was ready; the cluster notes whole ones.
        seconds: How long it was waited for.
    """

    ready: bool
    restarts: int
    ready_after: float
    seconds: float = 0.0


@dataclass
class Watch:
    """A pod's readiness over a while, about twice a second."""

    readiness: list[bool] = field(default_factory=list)


@dataclass(frozen=True)
class Pod:
    """One pod, asked through kubectl."""

    kubectl: Kubectl
    name: str

    def look(self):
        """How it is now."""
        status = self.kubectl.get("pod", self.name).get("status", {})
        containers = status.get("containerStatuses") or [{}]
        restarts = sum(one.get("restartCount", 0) for one in containers)
        since = [c for c in status.get("conditions", ()) if c["type"] == "Ready" and c["status"] == "True"]
        started = containers[0].get("state", {}).get("running", {}).get("startedAt")
        if not since or not started:
            return Seen(False, restarts, 0.0)
        took = datetime.fromisoformat(since[0]["lastTransitionTime"]) - datetime.fromisoformat(started)
        return Seen(True, restarts, took.total_seconds())

    def tell(self, request):
        """Send its server one line of a request from inside, and don't wait for the answer."""
        self.kubectl("exec", self.name, "--", "python", "-c", _TELL, request)

    @contextmanager
    def watch(self):
        """Note its readiness while something is done."""
        seen, ended = Watch(), threading.Event()

        def follow():
            while not ended.wait(0.5):
                seen.readiness.append(self.look().ready)

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        try:
            yield seen
        finally:
            ended.set()
            thread.join()


def watched(pod, *, seconds, until, say):
    """Look at a pod until something is so, or the time is over; gives how it was at last.

    Args:
        pod: Which.
        seconds: For how long at most.
        until: Whether it is as it should be.
        say: What is waited for.
    """
    began = time.monotonic()
    while True:
        now = pod.look()
        passed = time.monotonic() - began
        if until(now) or passed > seconds:
            return replace(now, seconds=passed)
        progress(say, max(0.0, seconds - passed))
        time.sleep(0.5)


def crash(kubectl, pod):
    """End a replica's process at once, as a kill does: nothing is finished, no hook is run."""
    with suppress(WorkFault):  # it takes the messenger along
        kubectl("exec", pod, "--", "python", "-c", _TELL, "POST /crash")
