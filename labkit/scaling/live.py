"""The replicas of Deployments as a cluster reports them: kubectl's watch, followed while a load runs."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

KUBECTL = Path(sys.executable).with_name("kubectl")


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
    command = [KUBECTL, f"--kubeconfig={kubeconfig}", "-n", namespace]
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
