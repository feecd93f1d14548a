"""The process: killed, started again, several side by side, and gone without a trace."""

from __future__ import annotations

import http.client
import json
import random
import ssl
import threading
import time
import urllib.error
import urllib.request

import psutil
import pytest
import yaml

from labkit.clusters.embedded.cluster import EmbeddedCluster
from labkit.clusters.kubeconfig import KubeconfigCluster
from labkit.errors import Unavailable


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    cluster = EmbeddedCluster(tmp_path_factory.mktemp("clusters") / "one", containers=False)
    assert cluster.up()
    yield cluster
    cluster.down(purge=True)


def ask(cluster, path, *, body=None, method=None, token=None, kind="application/json"):
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    given = token or config["users"][0]["user"]["token"]
    context = ssl.create_default_context(cafile=str(cluster.folder / "ca.crt"))
    request = urllib.request.Request(
        config["clusters"][0]["cluster"]["server"] + path, data=body, method=method
    )
    request.add_header("Authorization", f"Bearer {given}")
    request.add_header("Content-Type", kind)
    try:
        with urllib.request.urlopen(request, context=context, timeout=10) as answer:
            return answer.status, json.loads(answer.read().splitlines()[0])
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def test_it_is_up_once(cluster):
    assert not cluster.up()


def test_a_wrong_token_is_refused(cluster):
    assert ask(cluster, "/api/v1/pods", token="wrong")[0] == 401


@pytest.mark.parametrize(
    ("body", "kind", "code"),
    [
        (b"{", "application/json", 400),
        (b"a: [", "application/yaml", 400),
        (b"k8s\x00\x0a\xff", "application/vnd.kubernetes.protobuf", 400),
        (b"\x00\x01", "application/vnd.kubernetes.protobuf", 400),
        (b"x", "text/plain", 415),
        (b"[]", "application/json", 400),
    ],
)
def test_bodies_that_can_t_be_read(cluster, body, kind, code):
    got, said = ask(cluster, "/api/v1/namespaces/default/configmaps", body=body, kind=kind)
    assert (got, said["kind"]) == (code, "Status")


def test_a_watch_from_a_revision_that_is_gone(cluster):
    # The cluster began at revision 1, so that before it nothing was ever remembered.
    code, said = ask(cluster, "/api/v1/pods?watch=1&resourceVersion=-5")
    assert (code, said["reason"]) == (410, "Expired")


def test_lists_come_in_pages(cluster):
    for name in "abc":
        body = json.dumps({"metadata": {"name": name}}).encode()
        ask(cluster, "/api/v1/namespaces/kube-public/configmaps", body=body)
    path = "/api/v1/namespaces/kube-public/configmaps?limit=2"
    _, first = ask(cluster, path)
    assert first["metadata"]["remainingItemCount"] == 1
    _, second = ask(cluster, f"{path}&continue={first['metadata']['continue']}")
    assert [one["metadata"]["name"] for one in first["items"] + second["items"]] == ["a", "b", "c"]
    assert "continue" not in second["metadata"]


def test_it_listens_on_loopback_alone(cluster):
    listening = [
        c.laddr.ip for c in cluster.process.net_connections(kind="tcp") if c.status == psutil.CONN_LISTEN
    ]
    assert listening == ["127.0.0.1"]


def test_killed_and_started_again_it_has_forgotten_nothing(tmp_path):
    cluster = EmbeddedCluster(tmp_path / "killed", containers=False)
    cluster.up()
    try:
        body = json.dumps({"metadata": {"name": "kept"}, "data": {"x": "1"}}).encode()
        assert ask(cluster, "/api/v1/namespaces/default/configmaps", body=body)[0] == 201
        before = cluster.kubeconfig.read_text()
        process = cluster.process
        process.kill()
        psutil.wait_procs([process], timeout=5)
        assert cluster.up()
        assert cluster.kubeconfig.read_text() == before
        assert ask(cluster, "/api/v1/namespaces/default/configmaps/kept")[1]["data"] == {"x": "1"}
    finally:
        cluster.down(purge=True)
    assert list(tmp_path.iterdir()) == []


def test_down_stops_what_up_started(tmp_path):
    cluster = EmbeddedCluster(tmp_path / "brief", containers=False)
    assert not cluster.down()
    cluster.up()
    process = cluster.process
    assert cluster.down()
    assert not process.is_running()
    assert (cluster.folder / "cluster.db").exists()


def test_a_kubeconfig_that_is_not_there(tmp_path):
    with pytest.raises(Unavailable, match="There is no kubeconfig"):
        KubeconfigCluster(tmp_path / "none").up()


def test_any_cluster_by_its_kubeconfig(cluster):
    named = KubeconfigCluster(cluster.kubeconfig)
    assert not named.up()
    assert not named.down()
    assert cluster.process is not None


# A request that is cut off while urllib opens it leaves its socket to the garbage collector.
@pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning"
)
@pytest.mark.parametrize("seed", [1, 2])
def test_killed_in_the_midst_of_writing_it_keeps_all_that_it_answered(tmp_path, seed):
    cluster = EmbeddedCluster(tmp_path / "killed", containers=False)
    cluster.up()
    answered = []

    def write():
        for i in range(10_000):
            body = json.dumps({"metadata": {"name": f"kept-{i}"}}).encode()
            try:
                code, _ = ask(cluster, "/api/v1/namespaces/default/configmaps", body=body)
            except (OSError, http.client.HTTPException):
                return
            if code == 201:
                answered.append(f"kept-{i}")

    writer = threading.Thread(target=write)
    try:
        writer.start()
        time.sleep(random.Random(seed).uniform(0.3, 1.0))
        cluster.process.kill()
        writer.join(30)
        assert answered
        assert cluster.up()
        _, found = ask(cluster, "/api/v1/namespaces/default/configmaps")
        kept = {one["metadata"]["name"] for one in found["items"]}
        assert set(answered) <= kept
        # One may have been written and not answered any more.
        assert len(kept - set(answered)) <= 1
        assert int(found["metadata"]["resourceVersion"]) >= len(kept)
    finally:
        cluster.down(purge=True)
