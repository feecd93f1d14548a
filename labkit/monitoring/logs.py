"""Structured logs: lines of JSON, followed from every pod as long as it lives, and joined by request id."""

from __future__ import annotations

import contextlib
import json
import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from labkit.monitoring.cluster_api import api_of, items

_LOOK_SECONDS = 0.3
_SILENT_SECONDS = 2.0
_LINE_BYTES = 16 << 10


@dataclass(frozen=True)
class Line:
    """One line of a log.

    Attributes:
        pod: The pod that said it.
        text: As it stands.
        fields: What it says, if it is a JSON object; else nothing.
    """

    pod: str
    text: str
    fields: Mapping[str, Any]

    @property
    def request(self) -> str:
        """The id of the request that it is about; empty if it names none."""
        return str(self.fields.get("request_id") or "")


def parse(text: str, pod: str = "") -> Line:
    """Read a line; one that is no JSON object has no fields."""
    text = text[:_LINE_BYTES]
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        fields = None
    return Line(pod, text, fields if isinstance(fields, dict) else {})


def joined(hops: Iterable[Iterable[Line]], requests: Iterable[str]) -> dict[str, int]:
    """For each request id, at how many of the hops some line names it."""
    seen = [{line.request for line in hop} for hop in hops]
    return {request: sum(request in hop for hop in seen) for request in requests}


class PodLogs:
    """Follows the logs of all pods with a label, from when they start until they are gone.

    A pod takes its log along when it is deleted: who asks afterwards has only what was followed. As a context
    manager it follows within the block; `lines` stays.

    Args:
        kubeconfig: The cluster.
        namespace: Whose pods.
        selector: Which, `app=digits`.
    """

    def __init__(self, kubeconfig: Path, namespace: str, selector: str) -> None:
        self._kubeconfig = kubeconfig
        self._namespace, self._selector = namespace, selector
        self._texts: dict[str, list[str]] = defaultdict(list)
        self._ended = threading.Event()
        self._threads: dict[str, threading.Thread] = {}
        self._looking = threading.Thread(target=self._look, daemon=True)

    def lines(self) -> list[Line]:
        """All lines so far, by pod."""
        return [parse(text, pod) for pod, texts in list(self._texts.items()) for text in list(texts)]

    def __enter__(self) -> PodLogs:
        """Begin to follow."""
        self._looking.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Follow no longer."""
        self._ended.set()
        self._looking.join(timeout=5)
        for thread in self._threads.values():
            thread.join(timeout=1)

    def _look(self) -> None:
        """Find pods that began to run, and follow each in a thread of its own."""
        api, path = api_of(self._kubeconfig), f"/api/v1/namespaces/{self._namespace}/pods"
        while not self._ended.wait(_LOOK_SECONDS):
            with contextlib.suppress(httpx.HTTPError, ValueError):
                for pod in items(api, path, labelSelector=self._selector):
                    name, running = pod["metadata"]["name"], pod.get("status", {}).get("phase") == "Running"
                    if running and name not in self._threads:
                        self._threads[name] = threading.Thread(
                            target=self._follow, args=(f"{path}/{name}/log", name), daemon=True
                        )
                        self._threads[name].start()
        api.close()

    def _follow(self, path: str, name: str) -> None:
        """Take a pod's lines until it is gone; a connection that is lost goes on behind the last line."""
        asked = {"follow": "true", "timestamps": "true"}
        last = ""
        with api_of(self._kubeconfig) as api:
            while not self._ended.is_set():
                try:
                    # It may be silent for a while: then we ask again, and see whether to go on at all.
                    with api.stream("GET", path, params=asked, timeout=_SILENT_SECONDS) as answer:
                        if answer.status_code == httpx.codes.NOT_FOUND:
                            return
                        for line in answer.iter_lines():
                            at, _, text = line.partition(" ")
                            if at > last:  # of one form and one length, so that text order is time's
                                self._texts[name].append(text)
                                last = at
                            if self._ended.is_set():
                                return
                except httpx.HTTPError:
                    continue
                self._ended.wait(_LOOK_SECONDS)
