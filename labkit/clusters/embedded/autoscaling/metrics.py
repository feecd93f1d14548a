"""What autoscalers and `kubectl top` ask for: how much each pod of a workload uses, in thousandths."""

from __future__ import annotations

from typing import Any

from labkit.clusters.embedded.autoscaling.replicas import Measured, NoReplicas
from labkit.clusters.embedded.autoscaling.scraping import Scraper
from labkit.clusters.embedded.usage import Amount, Usage, Used

Object = dict[str, Any]


class Metrics:
    """Both kinds of metrics behind one face.

    Args:
        usage: Knows pods' cpu and memory.
        scraper: Knows what they say of themselves.
    """

    def __init__(self, usage: Usage, scraper: Scraper) -> None:
        self.usage = usage
        self.scraper = scraper

    def resource(self, pods: list[Object], name: str, container: str = "") -> dict[str, Measured]:
        """The pods' use of `cpu` or `memory`, by their names.

        Args:
            pods: The pods.
            name: The resource.
            container: The one container that is meant; all by default.

        Raises:
            NoReplicas: Nothing is known of any of them.
        """
        found = {}
        for pod in pods:
            used = self.usage.of_pod(pod["metadata"]["uid"])
            amount = _part(used, container) if used else None
            if used is not None and amount is not None:
                value = amount.cpu if name == "cpu" else float(amount.memory)
                found[pod["metadata"]["name"]] = Measured(round(value * 1000), used.at, used.window)
        if not found:
            raise NoReplicas(
                f"unable to get metrics for resource {name}: no metrics returned from resource metrics API"
            )
        return found

    def custom(self, pods: list[Object], name: str) -> dict[str, Measured]:
        """The pods' values of a metric of their own.

        Raises:
            NoReplicas: None of them has it.
        """
        samples = {pod["metadata"]["name"]: self.scraper.of_pod(pod, name) for pod in pods}
        found = {
            pod: Measured(round(sample.value * 1000), sample.at, 0.0)
            for pod, sample in samples.items()
            if sample is not None
        }
        if not found:
            raise NoReplicas(f"unable to get metric {name}: no metrics returned from custom metrics API")
        return found


def _part(used: Used, container: str) -> Amount | None:
    return used.containers.get(container) if container else used.total
