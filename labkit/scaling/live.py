"""An autoscaler on a cluster: a load is sent, and the replicas are followed by kubectl's watch meanwhile."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from labkit.clusters.kubectl import PROGRAM, Kubectl
from labkit.isolation.network import Network
from labkit.load import HttpClient, Kind, Recording, Schedule, run
from labkit.scaling.timeline import Timeline, timeline_of
from labkit.verdicts import Tier


class Deployments:
    """What has been seen of the Deployments of a namespace; filled by `watch_deployments`."""

    def __init__(self) -> None:
        self._changes: dict[str, list[tuple[float, int, int]]] = {}

    def note(self, thing: dict[str, Any]) -> None:
        """Note a Deployment as it is now."""
        row = (time.time(), thing["spec"].get("replicas", 1), thing.get("status", {}).get("readyReplicas", 0))
        seen = self._changes.setdefault(thing["metadata"]["name"], [])
        if not seen or seen[-1][1:] != row[1:]:
            seen.append(row)

    def changes(self, name: str, since: float) -> list[tuple[float, int, int]]:
        """(seconds from `since`, replicas asked for, replicas ready) at each change, the first at 0.

        Args:
            name: The Deployment's.
            since: When the timeline begins, `time.time()`.
        """
        seen = list(self._changes.get(name, ()))
        before = [row for row in seen if row[0] <= since][-1:] or seen[:1]
        first = [(0.0, *before[0][1:])] if before else [(0.0, 0, 0)]
        return first + [(at - since, wanted, ready) for at, wanted, ready in seen if at > since]


@contextmanager
def watch_deployments(kubeconfig: Path, namespace: str) -> Iterator[Deployments]:
    """Follow the Deployments of a namespace until the block is left.

    Args:
        kubeconfig: Of the cluster.
        namespace: Whose Deployments.
    """
    seen = Deployments()
    command = [str(PROGRAM), f"--kubeconfig={kubeconfig}", "-n", namespace]
    with subprocess.Popen(
        [*command, "get", "deployments", "--watch", "-o", "json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
        text=True,
    ) as process:
        thread = threading.Thread(target=_follow, args=(process, seen), daemon=True)
        thread.start()
        try:
            yield seen
        finally:
            process.kill()
            thread.join()


def _follow(process: subprocess.Popen[str], seen: Deployments) -> None:
    """Read the objects as they come: kubectl writes them one after the other, each over several lines."""
    decoder, text = json.JSONDecoder(), ""
    for line in process.stdout or ():
        text += line
        if line.rstrip() != "}":
            continue
        try:
            thing, _ = decoder.raw_decode(text)
        except ValueError:
            continue
        text = ""
        for one in thing.get("items", [thing]):
            seen.note(one)


def scale_under_load(
    kubectl: Kubectl,
    schedules: Sequence[Schedule],
    *,
    name: str,
    path: str = "/predict",
    network: Network | None = None,
    tier: Tier = Tier.LOCAL,
) -> tuple[Timeline, list[Recording]]:
    """Send loads one after the other to the Service of a Deployment; gives what became of its replicas.

    Args:
        kubectl: In the namespace of both.
        schedules: The loads.
        name: The Deployment's and the Service's.
        path: What is asked for.
        network: Where the load is sent from.
        tier: What the cluster is.
    """
    client = HttpClient(kubectl.address(name), [Kind(name="predict", path=path)])
    recordings: list[tuple[float, Recording]] = []
    with watch_deployments(kubectl.kubeconfig, kubectl.namespace) as seen:
        time.sleep(1)  # the watch begins with what is there
        began = time.time()
        for schedule in schedules:
            start = time.time() - began
            recordings.append((start, run(schedule, client, network=network)))
        timeline = timeline_of(recordings, seen.changes(name, began), tier)
    return timeline, [one for _, one in recordings]
