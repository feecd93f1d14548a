"""A pod's status as a kubelet derives it from what its containers do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from labkit.clusters.embedded.api import timestamp
from labkit.clusters.embedded.controllers.base import set_condition

Object = dict[str, Any]


@dataclass(eq=False)
class Run:
    """What is known of one container of a pod, over all its starts.

    Attributes:
        spec: The container as the pod asks for it.
        state: `waiting`, `running` or `terminated`, as the API has it.
        last: How it ended before.
        id: The engine's id of the newest one; empty before the first.
        image_id: What its image's name meant when it was started.
        restarts: How often it was started again.
        ready: Whether its readiness probe says so.
        started: Whether its start-up probe has said so.
    """

    spec: Object
    state: Object = field(default_factory=lambda: {"waiting": {"reason": "ContainerCreating"}})
    last: Object = field(default_factory=dict)
    id: str = ""
    image_id: str = ""
    restarts: int = 0
    ready: bool = False
    started: bool = False

    @property
    def name(self) -> str:
        """Its name in the pod."""
        return str(self.spec["name"])

    @property
    def sidecar(self) -> bool:
        """Whether it is an init container that goes on (`restartPolicy: Always`)."""
        return self.spec.get("restartPolicy") == "Always"

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return "running" in self.state

    @property
    def ended(self) -> Object | None:
        """How it ended; None while it may run again or has not run."""
        found: Object | None = self.state.get("terminated")
        return found

    def wait(self, reason: str, message: str = "") -> None:
        """Say why it does not run."""
        self.state = {"waiting": {"reason": reason, **({"message": message} if message else {})}}
        self.ready = False

    def as_json(self) -> Object:
        """Its entry in the pod's status."""
        return {
            "name": self.name,
            "image": self.spec["image"],
            "imageID": self.image_id,
            "containerID": f"docker://{self.id}" if self.id else "",
            "restartCount": self.restarts,
            "ready": self.ready,
            "started": self.started,
            "state": self.state,
            "lastState": self.last,
        }


def runs_of(containers: Sequence[Object], known: Sequence[Object]) -> list[Run]:
    """What is known of containers, from the entries in the pod's status."""
    by_name = {one["name"]: one for one in known}
    found = []
    for spec in containers:
        run, old = Run(spec), by_name.get(spec["name"])
        if old is not None:
            run.state, run.last = dict(old.get("state") or run.state), dict(old.get("lastState") or {})
            run.id = str(old.get("containerID", "")).removeprefix("docker://")
            run.image_id, run.restarts = old.get("imageID", ""), int(old.get("restartCount", 0))
            run.ready, run.started = bool(old.get("ready")), bool(old.get("started"))
        found.append(run)
    return found


def terminated(inspected: Object, *, code: int | None = None, reason: str = "") -> Object:
    """How a container ended, from what the engine says of it."""
    state = inspected["State"]
    ended = int(state["ExitCode"]) if code is None else code
    said = "OOMKilled" if state.get("OOMKilled") else "Completed" if ended == 0 else "Error"
    return {
        "exitCode": ended,
        "reason": reason or said,
        "startedAt": _seconds(state.get("StartedAt", "")),
        "finishedAt": _seconds(state.get("FinishedAt", "")),
        "containerID": f"docker://{inspected['Id']}",
    }


def _seconds(text: str) -> str:
    """The engine's time without what is below seconds; it writes year 1 for never."""
    return timestamp() if not text or text.startswith("0001") else f"{text[:19]}Z"


def phase_of(policy: str, inits: Sequence[Run], apps: Sequence[Run]) -> str:
    """The pod's phase.

    Args:
        policy: Its restart policy.
        inits: Its init containers.
        apps: Its containers.
    """
    codes = [(run.ended or {}).get("exitCode") for run in inits if not run.sidecar]
    if any(code is None for code in codes) or any(code != 0 for code in codes):
        failed = any(code not in (None, 0) for code in codes)
        return "Failed" if failed and policy == "Never" else "Pending"
    waiting = [run for run in apps if "waiting" in run.state and not run.last]
    stopped = [run for run in apps if not run.running and run not in waiting]
    if waiting:
        return "Pending"
    if len(stopped) < len(apps) or policy == "Always":
        return "Running"
    if any(run.ended is None for run in stopped):
        return "Running"  # one waits for its next start
    if all((run.ended or {}).get("exitCode") == 0 for run in stopped):
        return "Succeeded"
    return "Failed" if policy == "Never" else "Running"


def status_of(pod: Object, inits: Sequence[Run], apps: Sequence[Run], address: str, phase: str) -> Object:
    """The whole status of a pod.

    Args:
        pod: The pod.
        inits: Its init containers.
        apps: Its containers.
        address: Its address; empty while it has none.
        phase: Its phase.
    """
    old, spec = pod.get("status", {}), pod["spec"]
    over = phase in ("Succeeded", "Failed")
    initialized = all(run.started if run.sidecar else (run.ended or {}).get("exitCode") == 0 for run in inits)
    unready = [run.name for run in apps if not run.ready]
    ready = initialized and not unready and not over
    shown = " ".join(unready)
    why = {"Succeeded": "PodCompleted", "Failed": "PodFailed"}.get(phase, "ContainersNotReady")
    message = "" if over else f"containers with unready status: [{shown}]"
    incomplete = [run.name for run in inits if not (run.started if run.sidecar else run.ended)]
    conditions = list(old.get("conditions") or ())
    for kind, good, reason, words in (
        ("PodReadyToStartContainers", bool(address) and not over, "", ""),
        (
            "Initialized",
            initialized,
            "ContainersNotInitialized",
            f"containers with incomplete status: [{' '.join(incomplete)}]",
        ),
        ("Ready", ready, why, message),
        ("ContainersReady", ready, why, message),
    ):
        conditions = _condition(conditions, kind, good, reason, words)
    new = {**old, "phase": phase, "conditions": conditions, "hostIP": "127.0.0.1"}
    new.setdefault("startTime", timestamp())
    if address:
        new |= {"podIP": address, "podIPs": [{"ip": address}]}
    new["containerStatuses"] = [run.as_json() for run in apps]
    if spec.get("initContainers"):
        new["initContainerStatuses"] = [run.as_json() for run in inits]
    return new


def _condition(conditions: list[Object], kind: str, good: bool, reason: str, message: str) -> list[Object]:
    """The conditions with one set, as a pod has them: without a time of update or empty words."""
    old = next((one for one in conditions if one["type"] == kind), {})
    asked = (kind, "True", "", "") if good else (kind, "False", reason, message)
    if (kind, old.get("status"), old.get("reason", ""), old.get("message", "")) == asked:
        return conditions
    new = set_condition(conditions, *asked)
    return [
        {key: value for key, value in one.items() if key != "lastUpdateTime" and value != ""} for one in new
    ]
