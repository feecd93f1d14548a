"""Dashboards as code: Grafana's JSON, for a real Grafana as it is, or drawn here from the same queries."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from labkit.errors import WorkFault
from labkit.load.plots import COLOURS, Plot
from labkit.monitoring.queries import Prometheus, Series

DATASOURCE = "workbook"
_BYTES = 1 << 20
_VARIABLES = {"$__rate_interval": "10s", "$__interval": "5s", "$__range": "5m"}
_MOST_SERIES = 12


@dataclass(frozen=True)
class Query:
    """One query of a panel.

    Attributes:
        expression: PromQL.
        legend: How its series are called, with `{{label}}` for a label's value.
    """

    expression: str
    legend: str

    def name(self, series: Series) -> str:
        """What one of its series is called."""
        if not self.legend:
            return ", ".join(f"{key}={value}" for key, value in series.labels.items()) or self.expression
        return re.sub(
            r"\{\{\s*(\w+)\s*\}\}", lambda found: series.labels.get(found[1], ""), self.legend
        ).strip()


@dataclass(frozen=True)
class Panel:
    """One picture of a dashboard.

    Attributes:
        title: Over it.
        unit: Grafana's name of its unit (`s`, `reqps`, `percentunit`, `bytes`).
        queries: What it shows.
        thresholds: The values at which Grafana changes its colour.
    """

    title: str
    unit: str
    queries: tuple[Query, ...]
    thresholds: tuple[float, ...] = ()


@dataclass(frozen=True)
class Dashboard:
    """A dashboard: its title and its panels, those in rows too."""

    title: str
    panels: tuple[Panel, ...]


def read_dashboard(path: Path) -> Dashboard:
    """Read Grafana's JSON.

    Raises:
        WorkFault: It is not there, or no dashboard.
    """
    if not path.is_file() or path.is_symlink() or path.stat().st_size > _BYTES:
        raise WorkFault(f"There is no dashboard {path.name}.", next_step="Export it from Grafana as JSON.")
    try:
        content = json.loads(path.read_bytes())
        panels = tuple(_panels(content["panels"]))
        return Dashboard(str(content["title"]), panels)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise WorkFault(
            f"{path.name} is not a dashboard of Grafana's.",
            why=f"{type(error).__name__}: {error}."[:200],
            next_step="It is JSON with a title and panels, each with targets that have an expr.",
        ) from error


def _panels(listed: Sequence[dict[str, Any]]) -> list[Panel]:
    found = []
    for each in listed:
        if each.get("type") == "row":
            found += _panels(each.get("panels", []))
        elif queries := tuple(
            Query(_plain(str(target["expr"])), str(target.get("legendFormat", "")))
            for target in each.get("targets", [])
        ):
            defaults = each.get("fieldConfig", {}).get("defaults", {})
            steps = defaults.get("thresholds", {}).get("steps", [])
            limits = tuple(float(step["value"]) for step in steps if step.get("value") is not None)
            found.append(Panel(str(each.get("title", "")), str(defaults.get("unit", "")), queries, limits))
    return found


def _plain(expression: str) -> str:
    """A query with what Grafana would put in place of its own variables."""
    for name, value in _VARIABLES.items():
        expression = expression.replace(name, value)
    return expression


def draw(dashboard: Dashboard, prometheus: Prometheus, start: float, end: float) -> Plot:
    """Draw every panel from what Prometheus holds, with the same said in words.

    Args:
        dashboard: Which.
        prometheus: Where its queries are asked.
        start: Unix seconds.
        end: Unix seconds.

    Raises:
        WorkFault: A query is no PromQL.
    """
    from matplotlib.figure import Figure

    rows = -(-len(dashboard.panels) // 2)
    figure = Figure(figsize=(11, 0.6 + 2.7 * rows), layout="constrained")
    figure.suptitle(dashboard.title)
    step = max((end - start) / 240, 1.0)
    lines = []
    for number, panel in enumerate(dashboard.panels, start=1):
        axes = figure.add_subplot(rows, 2, number)
        shown = [
            (query.name(series), series)
            for query in panel.queries
            for series in prometheus.over(query.expression, start, end, step=step)
        ]
        for index, (name, series) in enumerate(shown[:_MOST_SERIES]):
            style = ("-", "--", ":")[index // len(COLOURS) % 3]
            colour = COLOURS[index % len(COLOURS)]
            axes.plot(series.times - start, series.values, style, color=colour, label=name, linewidth=1.4)
        for limit in panel.thresholds:
            axes.axhline(limit, color=COLOURS[-1], linestyle="--", linewidth=1)
        axes.set(title=panel.title, ylabel=panel.unit, xlim=(0, end - start))
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        if shown:
            axes.legend(fontsize=6, loc="upper left")
        if number > len(dashboard.panels) - 2:
            axes.set_xlabel("seconds")
        said = "; ".join(f"{name} up to {series.values.max():.4g}" for name, series in shown[:_MOST_SERIES])
        lines.append(f"{panel.title} ({panel.unit}): {said or 'nothing was measured'}.")
    return Plot(figure, "\n".join(lines))


def provision(folder: Path, dashboards: Sequence[Path], prometheus_url: str) -> Path:
    """Write what a real Grafana takes: its data source and the dashboards; gives the folder.

    Start Grafana with `GF_PATHS_PROVISIONING=FOLDER/provisioning`.
    """
    provisioning, held = folder / "provisioning", folder / "dashboards"
    for each in (provisioning / "datasources", provisioning / "dashboards", held):
        each.mkdir(parents=True, exist_ok=True)
    source = {"name": "Prometheus", "uid": DATASOURCE, "type": "prometheus", "access": "proxy"}
    _write(
        provisioning / "datasources" / "prometheus.yml",
        {"apiVersion": 1, "datasources": [source | {"url": prometheus_url, "isDefault": True}]},
    )
    provider = {"name": "workbook", "type": "file", "options": {"path": str(held.absolute())}}
    _write(provisioning / "dashboards" / "workbook.yml", {"apiVersion": 1, "providers": [provider]})
    for path in dashboards:
        read_dashboard(path)
        shutil.copyfile(path, held / path.name)
    return folder


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(content, sort_keys=False))
