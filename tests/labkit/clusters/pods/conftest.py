"""A cluster whose pods are containers, and an image that needs no registry: Debian's static busybox."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
import uuid
from pathlib import Path

import docker
import pytest
from conformance.conftest import Kubectl

from labkit.clusters.embedded import state
from labkit.clusters.embedded.cluster import EmbeddedCluster
from labkit.engines import machine

IMAGE = "ml-workbook/test-busybox:1"


@pytest.fixture(scope="session")
def busybox(tmp_path_factory):
    """The program."""
    here = shutil.which("busybox")
    if (
        here
        and "statically linked" in subprocess.run(["file", "-L", here], capture_output=True, text=True).stdout
    ):
        return Path(here)
    folder = tmp_path_factory.mktemp("busybox")
    got = subprocess.run(
        ["apt-get", "download", "busybox-static"], cwd=folder, capture_output=True, check=False
    )
    if got.returncode:
        pytest.skip("needs Debian's busybox-static")
    subprocess.run(["dpkg-deb", "-x", next(folder.glob("*.deb")), folder], check=True)
    return next(path for path in (folder / "bin/busybox", folder / "usr/bin/busybox") if path.exists())


def image_of(program: Path) -> bytes:
    """The root file system: the program under each of its names."""
    names = subprocess.run([program, "--list"], capture_output=True, text=True, check=True).stdout.split()
    tree = io.BytesIO()
    with tarfile.open(fileobj=tree, mode="w") as archive:
        archive.add(program, "bin/busybox")
        for name in names:
            if name != "busybox":
                link = tarfile.TarInfo(f"bin/{name}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                archive.addfile(link)
        for name in ("tmp", "etc"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o777
            archive.addfile(folder)
    return tree.getvalue()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory, busybox):
    """A cluster of containers."""
    if why := machine.lacks():
        pytest.skip(f"needs the embedded engine: {why[0]}")
    cluster = EmbeddedCluster(tmp_path_factory.mktemp("pods") / "cluster")
    cluster.up()
    if not cluster.capabilities.containers:
        cluster.down(purge=True)
        pytest.skip(f"needs an engine for pods: {cluster.why_simulated}")
    load(cluster, busybox)
    cluster.load_image(IMAGE)
    yield cluster
    said = (cluster.folder / "log").read_text()
    cluster.down(purge=True)
    assert said == "", "its log tells of faults"


def load(cluster, busybox):
    """Have the cluster's engine know the image."""
    client = engine_of(cluster)
    try:
        client.api.import_image_from_data(image_of(busybox), *IMAGE.split(":"), changes=["ENV PATH=/bin"])
    finally:
        client.close()


def engine_of(cluster):
    """A client of the cluster's engine."""
    return docker.DockerClient(base_url=cluster.engine)


def containers_of(cluster, pod=""):
    """The cluster's containers, or a pod's, ended ones included; name and engine's state."""
    client = engine_of(cluster)
    label = f"workbook.pod={pod}" if pod else f"workbook.cluster={state.read(cluster.folder)['cluster']}"
    try:
        return {one.name: one for one in client.containers.list(all=True, filters={"label": label})}
    finally:
        client.close()


@pytest.fixture
def kubectl(cluster, tmp_path_factory):
    """kubectl in a fresh namespace."""
    cache = tmp_path_factory.getbasetemp() / "kubectl-cache"
    tool = Kubectl(cluster.kubeconfig, f"test-{uuid.uuid4().hex[:8]}", cache)
    tool("create", "namespace", tool.namespace)
    yield tool
    tool("delete", "namespace", tool.namespace, "--wait=false")


@pytest.fixture
def pod(kubectl):
    """Applies a pod of one busybox container that runs a script."""

    def make(name, script="sleep 3600", *, spec="", container="", labels="{}", policy="Always"):
        kubectl.apply(
            f"""
apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {labels}}}
spec:
  restartPolicy: {policy}
  terminationGracePeriodSeconds: 2
  {spec}
  containers:
  - name: c
    image: {IMAGE}
    command: [sh, -c, {script!r}]
    {container}
"""
        )
        return name

    return make
