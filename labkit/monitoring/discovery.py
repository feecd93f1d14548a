"""Service discovery: the pods that want to be scraped, written as Prometheus reads it (`file_sd`).

Debian's Prometheus is built without its own discovery of Kubernetes. This finds the same pods by the same
annotations, `prometheus.io/scrape`, `/port` and `/path`; Prometheus reads the file when it changes.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx

from labkit.monitoring.cluster_api import api_of, items

TARGETS = "pods.json"
LOOK_SECONDS = 0.5
_PREFIX = "prometheus.io/"


def targets_of(pods: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The groups of targets that pods make: those that run, have an address and are annotated for it."""
    found = []
    for pod in pods:
        metadata, status = pod["metadata"], pod.get("status", {})
        notes, labels = (metadata.get(key) or {} for key in ("annotations", "labels"))
        port = str(notes.get(f"{_PREFIX}port", ""))
        wanted = notes.get(f"{_PREFIX}scrape") == "true" and port.isdigit()
        if wanted and status.get("phase") == "Running" and status.get("podIP"):
            kept = {name: str(labels[name]) for name in ("app", "version") if name in labels}
            about = {"namespace": metadata["namespace"], "pod": metadata["name"], **kept}
            path = {"__metrics_path__": str(notes.get(f"{_PREFIX}path", "/metrics"))}
            found.append({"targets": [f"{status['podIP']}:{port}"], "labels": about | path})
    return found


def write_targets(folder: Path, groups: list[dict[str, Any]]) -> bool:
    """Write the file if it is not so already; gives whether it was written."""
    path, text = folder / TARGETS, json.dumps(groups, sort_keys=True)
    if path.is_file() and path.read_text() == text:
        return False
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(path)  # Prometheus never reads half of it
    return True


async def discover(folder: Path, kubeconfig: Path) -> None:
    """Look for pods for ever; while the cluster does not answer, those that were known stay."""
    api = api_of(kubeconfig)
    while True:
        try:
            pods = await asyncio.to_thread(items, api, "/api/v1/pods")
            write_targets(folder, targets_of(pods))
        except (httpx.HTTPError, ValueError):
            pass
        await asyncio.sleep(LOOK_SECONDS)
