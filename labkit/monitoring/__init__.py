"""Monitoring that tells the truth: Prometheus, Alertmanager, dashboards as code, and logs that join.

from labkit.monitoring import Monitoring, draw, read_dashboard

with Monitoring(folder, kubeconfig=cluster.kubeconfig, rules=Path("rules.yml")) as watching:
    watching.prometheus.value("sum(rate(http_requests_total[10s]))")
    draw(read_dashboard(Path("service.json")), watching.prometheus, began, ended)
    watching.alerts()     # what Alertmanager delivered, with the second at which it came
"""

from labkit.monitoring.dashboards import draw, provision, read_dashboard
from labkit.monitoring.logs import Line, PodLogs, joined, parse
from labkit.monitoring.queries import Prometheus, Series
from labkit.monitoring.rules import check_rules, read_rules, test_rules
from labkit.monitoring.stack import Monitoring
from labkit.monitoring.webhook import Delivered

__all__ = [
    "Delivered",
    "Line",
    "Monitoring",
    "PodLogs",
    "Prometheus",
    "Series",
    "check_rules",
    "draw",
    "joined",
    "parse",
    "provision",
    "read_dashboard",
    "read_rules",
    "test_rules",
]
