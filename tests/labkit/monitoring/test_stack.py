"""Prometheus, Alertmanager and the webhook as they are, watching a cluster of containers."""

from __future__ import annotations

import time
import urllib.request

import httpx
import psutil
import pytest
from kubernetes.client import CoreV1Api
from kubernetes.config import new_client_from_config

from labkit.clusters.embedded.cluster import EmbeddedCluster
from labkit.engines import bases, connect, machine
from labkit.errors import WorkFault
from labkit.monitoring import Monitoring, PodLogs

PROGRAM = """
import http.server, json
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"# TYPE asked_total counter\\nasked_total 7\\n"
        self.send_response(200); self.end_headers(); self.wfile.write(body)
        print(json.dumps({"request_id": self.headers.get("X-Request-ID"), "path": self.path}), flush=True)
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("", 8080), Answer).serve_forever()
"""
RULES = """
groups:
  - name: test
    rules:
      - {alert: Asked, expr: asked_total > 5, labels: {severity: page}}
      - {alert: Never, expr: asked_total > 50}
"""


def pod(name):
    return {
        "metadata": {
            "name": name,
            "labels": {"app": "digits", "version": "blue"},
            "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "8080"},
        },
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [
                {"name": "m", "image": "python:3.11-slim", "command": ["python3", "-c", PROGRAM]},
            ],
        },
    }


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    if why := machine.lacks():
        pytest.skip(f"needs the embedded engine: {why[0]}")
    bases.provide_for(connect(), "python:3.11-slim")
    cluster = EmbeddedCluster(tmp_path_factory.mktemp("monitored") / "cluster")
    cluster.up()
    yield cluster
    cluster.down(purge=True)


@pytest.fixture
def rules(tmp_path):
    path = tmp_path / "rules.yml"
    path.write_text(RULES)
    return path


@pytest.mark.slow
def test_a_pod_is_found_scraped_alerted_of_and_followed(programs, cluster, rules, tmp_path):
    api = CoreV1Api(new_client_from_config(str(cluster.kubeconfig)))
    watching = Monitoring(tmp_path / "monitoring", kubeconfig=cluster.kubeconfig, rules=[rules])
    with watching, PodLogs(cluster.kubeconfig, "default", "app=digits") as logs:
        api.create_namespaced_pod("default", pod("digits-1"))
        assert watching.wait_for('asked_total{pod="digits-1"}', seconds=30)
        (found,) = watching.prometheus.instant("asked_total")
        assert found.labels["app"] == "digits"
        assert found.labels["version"] == "blue"
        assert found.values[0] == 7
        deadline = time.monotonic() + 15
        while not watching.alerts() and time.monotonic() < deadline:
            time.sleep(0.2)
        assert {(each.name, each.firing) for each in watching.alerts()} == {("Asked", True)}
        assert watching.prometheus.firing() == {"Asked"}
        address = api.read_namespaced_pod("digits-1", "default").status.pod_ip
        request = urllib.request.Request(f"http://{address}:8080/x", headers={"X-Request-ID": "r-17"})
        with urllib.request.urlopen(request, timeout=5) as answer:
            assert answer.status == 200
        deadline = time.monotonic() + 10
        while "r-17" not in {line.request for line in logs.lines()} and time.monotonic() < deadline:
            time.sleep(0.2)
        assert [line.fields["path"] for line in logs.lines() if line.request == "r-17"] == ["/x"]
        assert watching.wait_for("kube_pod_status_ready == 1")
        assert watching.wait_for("node_load1")
        api.delete_namespaced_pod("digits-1", "default")
        deadline = time.monotonic() + 20
        while any("8080" in url for url in watching.prometheus.targets()) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert not any(":8080" in url for url in watching.prometheus.targets())


@pytest.mark.slow
def test_it_is_up_once_takes_other_rules_and_leaves_nothing_running(programs, rules, tmp_path):
    watching = Monitoring(tmp_path / "monitoring", rules=[rules])
    assert watching.up()
    assert not watching.up()
    ours = [each.process.pid for each in watching._daemons().values()]
    broken = tmp_path / "broken.yml"
    broken.write_text("groups: [{name: a, rules: [{alert: A, expr: 'sum(('}]}]")
    with pytest.raises(WorkFault):
        watching.reload([broken])
    other = tmp_path / "other.yml"
    other.write_text("groups: [{name: a, rules: [{alert: Always, expr: vector(1)}]}]")
    watching.reload([other])
    assert watching.wait_for('ALERTS{alertname="Always"}')
    assert httpx.get(f"{watching.prometheus.url}/-/ready", trust_env=False).status_code == 200
    assert watching.down()
    assert not watching.down()
    assert not [pid for pid in ours if psutil.pid_exists(pid)]
