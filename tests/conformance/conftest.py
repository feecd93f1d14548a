"""The cluster that the scenarios run on, and the two ways in which they speak with it.

By default an embedded one. CONFORMANCE_CLUSTER names another (`debian`, or `containers`, the
embedded one with its pods as containers), CONFORMANCE_KUBECONFIG any
cluster at all; CONFORMANCE_IMAGE is an image with a shell that its nodes can have (busybox:1.36 by default).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kubernetes.client
import kubernetes.config
import pytest
from kubernetes.client.exceptions import ApiException

from labkit.clusters.embedded.cluster import EmbeddedCluster

KUBECTL = Path(sys.executable).with_name("kubectl")
NODE_IMAGE = "localhost/conformance:1"


def eventually(found: Callable[[], Any], seconds: float = 30.0) -> Any:
    """The first thing found that is something; fails if that takes too long."""
    deadline = time.monotonic() + seconds
    while not (thing := found()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s"
        time.sleep(0.05)
    return thing


def refused(code: int, call: Callable[..., Any], *arguments: Any, **named: Any) -> dict:
    """The Status with which a call is refused."""
    with pytest.raises(ApiException) as error:
        call(*arguments, **named)
    assert error.value.status == code, error.value.body
    status: dict = json.loads(error.value.body)
    assert status["kind"] == "Status"
    assert status["code"] == code
    return status


class Cluster:
    """One cluster: its clients, its version, an image that its nodes have."""

    def __init__(self, kubeconfig: Path, image: str, *, simulated: bool) -> None:
        self.kubeconfig, self.image, self.simulated = kubeconfig, image, simulated
        self.client = kubernetes.config.new_client_from_config(str(kubeconfig))
        self.core = kubernetes.client.CoreV1Api(self.client)
        self.apps = kubernetes.client.AppsV1Api(self.client)
        self.batch = kubernetes.client.BatchV1Api(self.client)
        version = kubernetes.client.VersionApi(self.client).get_code()
        self.minor = int("".join(filter(str.isdigit, version.minor)))

    def raw(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
        """A request as it stands; gives the code, and the answer's JSON or text."""
        settings = self.client.configuration
        context = ssl.create_default_context(cafile=settings.ssl_ca_cert)
        if settings.cert_file:
            context.load_cert_chain(settings.cert_file, settings.key_file)
        request = urllib.request.Request(settings.host + path, data=body, method=method)
        if known := settings.auth_settings().get("BearerToken"):
            request.add_header("Authorization", str(known["value"]))
        request.add_header("Content-Type", "application/json")
        for name, value in headers.items():
            request.add_header(name.replace("_", "-"), value)
        try:
            with urllib.request.urlopen(request, context=context, timeout=30) as answer:
                code, data = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                code, data = error.code, error.read()
        try:
            return code, json.loads(data)
        except ValueError:
            return code, data.decode()


class Kubectl:
    """Runs kubectl in a namespace."""

    def __init__(self, kubeconfig: Path, namespace: str, cache: Path) -> None:
        self.kubeconfig, self.namespace, self.cache = kubeconfig, namespace, cache

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        command = [KUBECTL, f"--kubeconfig={self.kubeconfig}", f"--cache-dir={self.cache}"]
        return subprocess.run(
            [*command, "-n", self.namespace, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )

    def __call__(self, *arguments: str, stdin: str = "") -> str:
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def refused(self, *arguments: str, stdin: str = "") -> str:
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode != 0, done.stdout
        return done.stderr.strip()

    def apply(self, manifest: str | dict) -> str:
        text = manifest if isinstance(manifest, str) else json.dumps(manifest)
        return self("apply", "-f", "-", stdin=text)

    def get(self, *arguments: str) -> dict:
        return json.loads(self("get", *arguments, "-o", "json"))

    def until(self, condition: str, what: str, seconds: int = 40) -> None:
        self("wait", f"--for={condition}", what, f"--timeout={seconds}s")

    def table(self, *arguments: str) -> tuple[list[str], list[list[str]]]:
        """What `kubectl get` prints: the heads, and each row cut where the heads begin."""
        head, *rows = self("get", *arguments).splitlines()
        starts = [match.start() for match in re.finditer(r"\S+(?: \S+)*", head)]
        cut = [slice(one, other) for one, other in zip(starts, [*starts[1:], None], strict=True)]
        return [head[at].strip() for at in cut], [[row[at].strip() for at in cut] for row in rows]


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """Where the scenarios run."""
    if named := os.environ.get("CONFORMANCE_KUBECONFIG"):
        image = os.environ.get("CONFORMANCE_IMAGE", "busybox:1.36")
        yield Cluster(Path(named), image, simulated=False)
    elif os.environ.get("CONFORMANCE_CLUSTER") == "debian":
        from labkit.clusters.debian import images, node
        from labkit.clusters.debian.cluster import DebianCluster

        real = DebianCluster()
        real.up()
        archive = tmp_path_factory.mktemp("image") / "conformance.tar"
        images.pack_busybox(archive, NODE_IMAGE)
        node.import_image(real.layout, archive)
        yield Cluster(real.kubeconfig, NODE_IMAGE, simulated=False)
    elif os.environ.get("CONFORMANCE_CLUSTER") == "containers":
        from labkit.clusters.debian import images

        local = EmbeddedCluster(tmp_path_factory.mktemp("conformance") / "cluster")
        local.up()
        archive = tmp_path_factory.mktemp("image") / "conformance.tar"
        images.pack_busybox(archive, NODE_IMAGE)
        subprocess.run(
            ["docker", "load", "-i", archive],
            env={**os.environ, "DOCKER_HOST": str(local.engine)},
            check=True,
            capture_output=True,
        )
        yield Cluster(local.kubeconfig, NODE_IMAGE, simulated=False)
        local.down(purge=True)
    else:
        small = EmbeddedCluster(tmp_path_factory.mktemp("conformance") / "cluster", containers=False)
        small.up()
        yield Cluster(small.kubeconfig, NODE_IMAGE, simulated=True)
        small.down(purge=True)


@pytest.fixture(autouse=True)
def _since(request, cluster):
    """Skips what the cluster's version hasn't: `@pytest.mark.since(21)`."""
    for mark in request.node.iter_markers("since"):
        if cluster.minor < mark.args[0]:
            pytest.skip(f"Kubernetes has this since 1.{mark.args[0]}, and this is 1.{cluster.minor}")


@pytest.fixture
def embedded(cluster):
    """Skips what only simulated nodes can show."""
    if not cluster.simulated:
        pytest.skip("needs the embedded cluster's simulated nodes")


@pytest.fixture
def containers(cluster):
    """Skips what only pods that truly run can show."""
    if cluster.simulated:
        pytest.skip("needs pods that run: CONFORMANCE_CLUSTER=containers, or debian")


@pytest.fixture
def namespace(cluster):
    """A fresh namespace, in which pods can be made."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    cluster.core.create_namespace({"metadata": {"name": name}})
    eventually(lambda: _has_account(cluster, name))
    yield name
    with contextlib.suppress(ApiException):
        cluster.core.delete_namespace(name)


def _has_account(cluster: Cluster, namespace: str) -> bool:
    try:
        account = cluster.core.read_namespaced_service_account("default", namespace)
    except ApiException as error:
        if error.status != 404:
            raise
        return False
    # Until 1.24 pods could only be made once the account's token was there.
    return bool(account.secrets) or cluster.minor >= 24


@pytest.fixture
def kubectl(cluster, namespace, tmp_path_factory):
    """kubectl in a fresh namespace."""
    return Kubectl(cluster.kubeconfig, namespace, tmp_path_factory.getbasetemp() / "kubectl-cache")


@pytest.fixture
def core(cluster):
    """The official client, for the core's kinds."""
    return cluster.core


@pytest.fixture
def apps(cluster):
    """The official client, for Deployments and ReplicaSets."""
    return cluster.apps


@pytest.fixture
def batch(cluster):
    """The official client, for Jobs."""
    return cluster.batch


@pytest.fixture
def event_reasons(core, namespace):
    """Gives the reasons of the namespace's events."""
    return lambda: {event.reason for event in core.list_namespaced_event(namespace).items}
