"""What a dashboard shows, read from the two forms that this course writes it in: CloudWatch's and Grafana's.

Sources: the body of `PutDashboard` in the CloudWatch API, and Grafana's dashboard JSON model with its data
source for CloudWatch. Both lay panels on a grid of 24 columns.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from labkit.errors import WorkFault


@dataclass(frozen=True)
class Panel:
    """One panel of a dashboard.

    Attributes:
        title: What stands above it.
        place: Left, top, width and height on the grid.
        series: What is drawn in it, each as namespace, metric, and the value of its dimension.
    """

    title: str
    place: tuple[int, int, int, int]
    series: frozenset[tuple[str, str, str]]


def of_cloudwatch(body: str) -> list[Panel]:
    """The metric widgets of a CloudWatch dashboard.

    Raises:
        WorkFault: It is none.
    """
    return _read("The CloudWatch dashboard", body, _widgets)


def of_grafana(dashboard: str) -> list[Panel]:
    """The panels of a Grafana dashboard that ask CloudWatch.

    Raises:
        WorkFault: It is none.
    """
    return _read("The Grafana dashboard", dashboard, _panels)


def _read(name: str, text: str, panels: Any) -> list[Panel]:
    try:
        return list(panels(json.loads(text)))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise WorkFault(
            f"{name} is not in the form that it should have.", why=f"{type(error).__name__}: {error}."
        ) from error


def _widgets(body: dict[str, Any]) -> Iterator[Panel]:
    for widget in body["widgets"]:
        properties = widget["properties"]
        if widget["type"] == "metric":
            yield Panel(
                str(properties.get("title", "")),
                (widget["x"], widget["y"], widget["width"], widget["height"]),
                frozenset((row[0], row[1], row[3]) for row in properties["metrics"]),
            )


def _panels(dashboard: dict[str, Any]) -> Iterator[Panel]:
    for panel in dashboard["panels"]:
        if panel["type"] == "timeseries":
            grid = panel["gridPos"]
            yield Panel(
                str(panel.get("title", "")),
                (grid["x"], grid["y"], grid["w"], grid["h"]),
                frozenset(
                    (target["namespace"], target["metricName"], value)
                    for target in panel["targets"]
                    for values in target["dimensions"].values()
                    for value in ([values] if isinstance(values, str) else values)
                ),
            )
