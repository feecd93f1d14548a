"""What pods say of themselves: their /metrics, read every few seconds, as a Prometheus adapter would.

A pod is read if it is annotated so (the annotations that Prometheus' own examples use):
    prometheus.io/scrape: "true"
    prometheus.io/port: the port; the first that a container names by default.
    prometheus.io/path: /metrics by default.
A gauge is served under its name; a counter, `requests_total`, as its rate, `requests_per_second`.
A simulated pod says its values in the annotation `simulated.workbook/metrics`: `requests_in_flight=12,queue=3`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from labkit.clusters.embedded import quantities
from labkit.clusters.embedded.api import Api

Object = dict[str, Any]
EVERY_SECONDS = 2.0
ANNOTATION = "simulated.workbook/metrics"
_LOG = logging.getLogger(__name__)
_PREFIX = "prometheus.io/"
_MOST_BYTES = 1 << 20
_ANSWER_SECONDS = 2.0
_OLD_SECONDS = 60.0


@dataclass(frozen=True)
class Sample:
    """One metric of one pod.

    Attributes:
        value: What it was.
        at: When.
    """

    value: float
    at: datetime


class Scraper:
    """Reads pods' metrics and remembers the last value of each.

    Args:
        api: The cluster's objects.
        every: Seconds between two readings.
    """

    def __init__(self, api: Api, every: float = EVERY_SECONDS) -> None:
        self._api = api
        self._every = every
        self._samples: dict[str, dict[str, Sample]] = {}
        self._counters: dict[str, dict[str, Sample]] = {}

    def of_pod(self, pod: Object, metric: str) -> Sample | None:
        """The last value of a pod's metric; None if there is none, or only one from long ago."""
        if (said := _simulated(pod)) and metric in said:
            return Sample(said[metric], datetime.now(UTC))
        found = self._samples.get(pod["metadata"]["uid"], {}).get(metric)
        old = found is None or (datetime.now(UTC) - found.at).total_seconds() > _OLD_SECONDS
        return None if old else found

    def names(self) -> set[str]:
        """All metrics that some pod has."""
        found = {name for samples in self._samples.values() for name in samples}
        for pod in self._api.each("pods"):
            found.update(_simulated(pod))
        return found

    async def run(self) -> None:
        """Go on until cancelled."""
        limits = aiohttp.ClientTimeout(total=_ANSWER_SECONDS)
        async with aiohttp.ClientSession(timeout=limits) as session:
            while True:
                pods = {pod["metadata"]["uid"]: pod for pod in self._api.each("pods") if _address(pod)}
                for gone in set(self._samples) - set(pods):
                    self._samples.pop(gone)
                    self._counters.pop(gone, None)
                await asyncio.gather(*(self._read(session, uid, pod) for uid, pod in pods.items()))
                await asyncio.sleep(self._every)

    async def _read(self, session: aiohttp.ClientSession, uid: str, pod: Object) -> None:
        address = _address(pod)
        try:
            async with session.get(address) as answer:
                data = await answer.content.read(_MOST_BYTES)
                if answer.status == 200:
                    self.take(uid, data.decode(errors="replace"), datetime.now(UTC))
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            # A pod that does not answer has no metrics: its autoscaler says so, once they have aged.
            _LOG.info("%s: %s", address, error)

    def take(self, uid: str, text: str, at: datetime) -> None:
        """Note what a pod answered.

        Args:
            uid: The pod's.
            text: Its metrics in Prometheus' text format.
            at: When it answered.

        Raises:
            ValueError: It is not in that format.
        """
        now: dict[str, float] = defaultdict(float)
        counters: dict[str, float] = defaultdict(float)
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if family.type == "counter" and sample.name.endswith("_total"):
                    counters[sample.name] += sample.value
                elif family.type in ("gauge", "unknown", "untyped"):
                    now[sample.name] += sample.value
        before = self._counters.get(uid, {})
        for name, value in counters.items():
            if name not in before:
                continue
            seconds = (at - before[name].at).total_seconds()
            # A counter that went back was started again: what it shows now came since then.
            grown = value - before[name].value if value >= before[name].value else value
            if seconds > 0:
                now[f"{name.removesuffix('_total')}_per_second"] = grown / seconds
        self._counters[uid] = {name: Sample(value, at) for name, value in counters.items()}
        self._samples[uid] = {name: Sample(value, at) for name, value in now.items()}


def _address(pod: Object) -> str:
    """Where a pod's metrics are; empty if it is not to be asked."""
    notes, status = pod["metadata"].get("annotations") or {}, pod.get("status", {})
    if notes.get(f"{_PREFIX}scrape") != "true" or status.get("phase") != "Running" or ANNOTATION in notes:
        return ""
    port = notes.get(f"{_PREFIX}port") or next(_ports(pod), "")
    if not status.get("podIP") or not str(port).isdigit():
        return ""
    path = notes.get(f"{_PREFIX}path", "/metrics")
    return f"http://{status['podIP']}:{port}/{path.lstrip('/')}"


def _ports(pod: Object) -> Iterator[str]:
    for container in pod["spec"]["containers"]:
        for port in container.get("ports") or ():
            yield str(port["containerPort"])


def _simulated(pod: Object) -> dict[str, float]:
    """What a simulated pod's annotation says; what can't be read in it is left out."""
    found = {}
    for part in ((pod["metadata"].get("annotations") or {}).get(ANNOTATION) or "").split(","):
        name, _, value = part.partition("=")
        try:
            found[name.strip()] = float(quantities.parse(value.strip()))
        except ValueError:
            continue
    return found
