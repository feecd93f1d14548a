from __future__ import annotations

import json

import numpy as np
import pytest
import yaml

from labkit.errors import WorkFault
from labkit.monitoring import Series, draw, provision, read_dashboard
from labkit.monitoring.stack import OUR_RULES

OURS = OUR_RULES.with_name("cluster.json")


class Measured:
    """Stands for Prometheus: two pods, one with a gap."""

    def over(self, query, start, end, *, step):
        times = np.arange(start, end, step)
        return [
            Series({"pod": "a", "deployment": "digits"}, times, np.ones(len(times))),
            Series({"pod": "b", "deployment": "digits"}, times[:3], np.full(3, 2.0)),
        ]


def test_our_dashboard_is_drawn_from_its_own_queries_and_said_in_words():
    dashboard = read_dashboard(OURS)
    drawn = draw(dashboard, Measured(), 100, 160)
    assert [axes.get_title() for axes in drawn.figure.axes] == [panel.title for panel in dashboard.panels]
    assert "Processor by pod (cores): a up to 1; b up to 2." in drawn.text


def test_panels_in_rows_and_their_thresholds_are_found(tmp_path):
    panel = {
        "title": "p99",
        "targets": [{"expr": "up"}],
        "fieldConfig": {"defaults": {"thresholds": {"steps": [{"value": None}, {"value": 0.1}]}}},
    }
    path = tmp_path / "rows.json"
    path.write_text(json.dumps({"title": "t", "panels": [{"type": "row", "panels": [panel]}]}))
    (found,) = read_dashboard(path).panels
    assert (found.title, found.thresholds) == ("p99", (0.1,))


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"title": "x"}', '{"title": "x", "panels": [{"targets": [{}]}]}']
)
def test_what_is_no_dashboard_is_refused(tmp_path, text):
    (tmp_path / "d.json").write_text(text)
    with pytest.raises(WorkFault, match="not a dashboard"):
        read_dashboard(tmp_path / "d.json")


def test_what_a_real_grafana_takes_is_written(tmp_path):
    provision(tmp_path, [OURS], "http://127.0.0.1:9090")
    source = yaml.safe_load((tmp_path / "provisioning/datasources/prometheus.yml").read_text())
    assert source["datasources"][0]["url"] == "http://127.0.0.1:9090"
    assert source["datasources"][0]["uid"] == json.loads(OURS.read_text())["panels"][0]["datasource"]["uid"]
    provider = yaml.safe_load((tmp_path / "provisioning/dashboards/workbook.yml").read_text())["providers"][0]
    assert provider["options"]["path"] == str(tmp_path / "dashboards")
    assert (tmp_path / "dashboards/cluster.json").read_text() == OURS.read_text()
