"""What a submission's dashboard shows: the metrics that its queries name, and what is missing."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable
from pathlib import Path

import yaml

from autograder.production.contract import (
    FROM_THE_CLUSTER,
    IN_FLIGHT,
    LABEL_REQUESTS,
    METRICS,
    REQUESTS,
    SECONDS,
)
from labkit.errors import WorkFault
from labkit.monitoring import check_rules
from labkit.monitoring.dashboards import Dashboard

_KEYWORDS = frozenset(
    (
        "and",
        "or",
        "unless",
        "bool",
        "offset",
        "by",
        "without",
        "on",
        "ignoring",
        "group_left",
        "group_right",
        "inf",
        "nan",
    )
)


def metrics_of(expression: str) -> set[str]:
    """The metrics that a PromQL expression names."""
    bare = re.sub(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'', "", expression)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", " ", bare)
    bare = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", " ", bare)
    words = re.findall(r"[a-zA-Z_:][a-zA-Z0-9_:]*(?!\s*\()\b(?![a-zA-Z0-9_:]*\s*\()", bare)
    return {word for word in words if word.lower() not in _KEYWORDS and not re.fullmatch(r"[smhdwy]", word)}


def unknown_metrics(dashboard: Dashboard, recorded: Iterable[str]) -> list[str]:
    """The metrics of a dashboard that neither the service, the cluster nor a recording rule gives."""
    known = {*METRICS, f"{SECONDS}_sum", *FROM_THE_CLUSTER, *recorded}
    named = {
        name for panel in dashboard.panels for query in panel.queries for name in metrics_of(query.expression)
    }
    return sorted(named - known)


def check_queries(dashboard: Dashboard) -> int:
    """Have promtool read every query; gives how many there are.

    Raises:
        WorkFault: One is no PromQL.
    """
    queries = [query.expression for panel in dashboard.panels for query in panel.queries]
    rules = [{"record": f"panel:query:{number}", "expr": query} for number, query in enumerate(queries)]
    if not rules:
        raise WorkFault("The dashboard has no panel with a query.")
    with tempfile.TemporaryDirectory(prefix="dashboard-") as folder:
        path = Path(folder) / "dashboard.json"
        path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
        return check_rules(path)


def shown(dashboard: Dashboard, recorded: dict[str, str]) -> dict[str, bool]:
    """What one wants to see of a service, each with whether some panel shows it.

    Args:
        dashboard: Which.
        recorded: The recording rules, by name, with their expressions.
    """
    queries = [
        " ".join([query.expression, *(recorded.get(name, "") for name in metrics_of(query.expression))])
        for panel in dashboard.panels
        for query in panel.queries
    ]

    def some(*words: str) -> bool:
        return any(all(word in query for word in words) for query in queries)

    return {
        "how many requests come": some(REQUESTS, "rate("),
        "which share of them fails": some(REQUESTS, "status", "/"),
        "the 99th percentile of the latency": some("histogram_quantile", "0.99", f"{SECONDS}_bucket"),
        "requests in flight": some(IN_FLIGHT),
        "replicas": some("kube_deployment_") or some("count", "up"),
        "the labels service": some(LABEL_REQUESTS),
    }
