"""A container of a pod as the engine is asked for it."""

from __future__ import annotations

from typing import Any

from labkit.clusters.embedded import quantities
from labkit.clusters.embedded.agents.settings import Lacking, expanded

Object = dict[str, Any]
CLUSTER, POD, CONTAINER, ATTEMPT, PAUSE = (
    f"workbook.{name}" for name in ("cluster", "pod", "container", "attempt", "pause")
)
"""Labels: whose a container is, so that it is known again whatever has been killed meanwhile."""
PROCESSES = 1024
"""How many processes a container may have: one that forks without end stops at that."""
_PERIOD = 100_000
_FORBIDDEN = ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace")
_ADDABLE = ("NET_BIND_SERVICE",)


def labels(cluster: str, uid: str, **more: str) -> dict[str, str]:
    """What tells the cluster's containers from all others."""
    return {CLUSTER: cluster, POD: uid, **more}


def pause(cluster: str, pod: Object, image: str, network: str) -> Object:
    """The container that holds a pod's network and name."""
    metadata = pod["metadata"]
    return {
        "Image": image,
        "Hostname": (pod["spec"].get("hostname") or metadata["name"])[:63],
        "Labels": labels(cluster, metadata["uid"], **{PAUSE: "true"}),
        "HostConfig": {
            "NetworkMode": network,
            "IpcMode": "shareable",
            "LogConfig": {"Type": "none"},
            "PidsLimit": 64,
            "ReadonlyRootfs": True,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
        },
    }


def app(
    cluster: str,
    pod: Object,
    container: Object,
    image: Object,
    *,
    sandbox: str,
    variables: dict[str, str],
    binds: list[str],
    attempt: int,
) -> Object:
    """A container that joins it.

    Args:
        cluster: Whose it is.
        pod: The pod.
        container: Which of the pod's.
        image: What the engine knows of its image.
        sandbox: The pod's pause container.
        variables: Its environment.
        binds: Its mounts.
        attempt: How often it was started before.

    Raises:
        Lacking: It asks for what pods may not have here.
    """
    spec, name = pod["spec"], container["name"]
    context = {**(spec.get("securityContext") or {}), **(container.get("securityContext") or {})}
    _refuse(spec, context)
    own = {CONTAINER: name, ATTEMPT: str(attempt)}
    body: Object = {
        "Image": image["Id"],
        "Env": [f"{key}={value}" for key, value in variables.items()],
        "Labels": labels(cluster, pod["metadata"]["uid"], **own),
        "User": _user(context, image, name),
        "Tty": bool(container.get("tty")),
        "OpenStdin": bool(container.get("stdin")),
        "StdinOnce": bool(container.get("stdinOnce")),
        "HostConfig": {
            "NetworkMode": f"container:{sandbox}",
            "IpcMode": f"container:{sandbox}",
            "Binds": binds,
            "ReadonlyRootfs": bool(context.get("readOnlyRootFilesystem")),
            "CapAdd": _added(context),
            "CapDrop": (context.get("capabilities") or {}).get("drop") or [],
            "SecurityOpt": ["no-new-privileges"] if context.get("allowPrivilegeEscalation") is False else [],
            "PidsLimit": PROCESSES,
            **_limits(container.get("resources") or {}),
        },
    }
    if command := container.get("command"):
        body["Entrypoint"] = [expanded(word, variables) for word in command]
    if arguments := container.get("args"):
        body["Cmd"] = [expanded(word, variables) for word in arguments]
    if folder := container.get("workingDir"):
        body["WorkingDir"] = folder
    return body


def _refuse(spec: Object, context: Object) -> None:
    for field in _FORBIDDEN:
        if spec.get(field):
            raise Lacking(f"the embedded cluster's pods can't have {field}")
    if context.get("privileged"):
        raise Lacking("the embedded cluster's pods can't be privileged")
    others = [one for one in (context.get("capabilities") or {}).get("add") or () if one not in _ADDABLE]
    if others:
        raise Lacking(f"the embedded cluster's pods can't have the capability {others[0]}")


def _added(context: Object) -> list[str]:
    return list((context.get("capabilities") or {}).get("add") or ())


def _user(context: Object, image: Object, name: str) -> str:
    user, group = context.get("runAsUser"), context.get("runAsGroup")
    of_image = str((image.get("Config") or {}).get("User") or "")
    chosen = str(user) if user is not None else of_image
    if context.get("runAsNonRoot") and chosen.partition(":")[0] in ("", "0", "root"):
        said = (
            "container's runAsUser breaks non-root policy"
            if user == 0
            else "container has runAsNonRoot and image will run as root"
        )
        raise Lacking(f"{said} (container: {name})")
    return f"{chosen or 0}:{group}" if group is not None else chosen


def _limits(resources: Object) -> Object:
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    found: Object = {}
    if memory := limits.get("memory"):
        # With as much swap as memory, there is none.
        found["Memory"] = found["MemorySwap"] = max(int(quantities.parse(memory)), 6 << 20)
    if cpu := limits.get("cpu"):
        found["CpuPeriod"] = _PERIOD
        found["CpuQuota"] = max(int(quantities.parse(cpu) * _PERIOD), 1000)
    share = quantities.parse(requests.get("cpu", "0"))
    found["CpuShares"] = max(int(share * 1024), 2)
    return found
