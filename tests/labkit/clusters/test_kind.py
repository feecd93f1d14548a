"""kind's backend, against a stand-in that writes down how it was called: kind itself needs its node image."""

from __future__ import annotations

import subprocess

import kubernetes.client
import kubernetes.config
import pytest
import yaml

from labkit.clusters.embedded.cluster import EmbeddedCluster
from labkit.clusters.kind import GPU_LABELS, KindCluster
from labkit.engines import places
from labkit.errors import Unavailable

STAND_IN = """\
#!/bin/sh
# Does what kind does as far as its files go; the cluster behind it is one that runs already.
echo "$@" >> {root}/asked
case "$1 $2" in
"get clusters") cat {root}/clusters 2>/dev/null || true;;
"create cluster")
    [ ! -e {root}/broken ] || {{ echo 'ERROR: failed to create cluster: no such image' >&2; exit 1; }}
    echo "$4" >> {root}/clusters; cp "$6" {root}/config; cp {root}/kubeconfig "$8";;
"export kubeconfig") cp {root}/kubeconfig "$6";;
"delete cluster") rm {root}/clusters;;
"load docker-image") [ "$3" = there:1 ] || {{ echo "ERROR: image: $3 not present locally" >&2; exit 1; }};;
*) echo "unknown command" >&2; exit 1;;
esac
"""


@pytest.fixture(scope="module")
def behind(tmp_path_factory):
    cluster = EmbeddedCluster(tmp_path_factory.mktemp("kind") / "cluster", containers=False)
    cluster.up()
    core = kubernetes.client.CoreV1Api(kubernetes.config.new_client_from_config(str(cluster.kubeconfig)))
    core.create_node({"metadata": {"name": "workbook-worker2", "labels": GPU_LABELS}})
    yield cluster, core
    core.api_client.close()
    cluster.down(purge=True)


@pytest.fixture
def root(tmp_path, monkeypatch, behind):
    (tmp_path / "bin").mkdir()
    tool = tmp_path / "bin/kind"
    tool.write_text(STAND_IN.format(root=tmp_path))
    tool.chmod(0o755)
    (tmp_path / "kubeconfig").write_bytes(behind[0].kubeconfig.read_bytes())
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setattr(places, "kept", lambda part: tmp_path / "kept" / part)
    return tmp_path


def asked(root):
    return (root / "asked").read_text().splitlines()


def test_it_is_created_once_and_deleted(root, behind):
    cluster = KindCluster(say=lambda line: None)
    assert cluster.up()
    assert not cluster.up()
    create = next(line for line in asked(root) if line.startswith("create"))
    assert create.split()[:4] == ["create", "cluster", "--name", "workbook"]
    assert create.endswith("--wait 180s")
    assert cluster.kubeconfig.exists()
    assert cluster.down()
    assert not cluster.down()
    assert not cluster.kubeconfig.exists()
    assert "delete cluster --name workbook" in asked(root)[-2]


def test_its_second_worker_is_a_gpu_node(root, behind):
    KindCluster(say=lambda line: None).up()
    nodes = yaml.safe_load((root / "config").read_text())["nodes"]
    assert [node["role"] for node in nodes] == ["control-plane", "worker", "worker"]
    assert nodes[2]["labels"] == GPU_LABELS
    node = behind[1].read_node("workbook-worker2")
    assert node.status.allocatable["nvidia.com/gpu"] == "1"


def test_images_are_loaded(root):
    cluster = KindCluster(say=lambda line: None)
    cluster.load_image("there:1")
    assert asked(root)[-1] == "load docker-image there:1 --name workbook"
    with pytest.raises(Unavailable, match="nowhere:1 not present locally"):
        cluster.load_image("nowhere:1")


def test_what_kind_says_when_it_fails(root):
    (root / "broken").touch()
    with pytest.raises(Unavailable, match="failed to create cluster: no such image"):
        KindCluster(say=lambda line: None).up()


def test_without_kind_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(places, "kept", lambda part: tmp_path / "kept" / part)
    cluster = KindCluster(say=lambda line: None)
    with pytest.raises(Unavailable, match=r"no kind on PATH\. Install kind"):
        cluster.up()
    assert not cluster.down()


def test_the_stand_in_speaks_as_kind_does_of_what_it_does_not_know(root):
    ran = subprocess.run([root / "bin/kind", "gte", "clusters"], capture_output=True, check=False)
    assert ran.returncode == 1
