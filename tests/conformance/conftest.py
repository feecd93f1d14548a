"""The cluster that the scenarios run on: an embedded one, or any that CONFORMANCE_KUBECONFIG names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from labkit.clusters.embedded.cluster import EmbeddedCluster

KUBECTL = Path(sys.executable).with_name("kubectl")


class Kubectl:
    """Runs kubectl in a namespace of its own."""

    def __init__(self, kubeconfig: Path, namespace: str, cache: Path) -> None:
        self.kubeconfig, self.namespace, self.cache = kubeconfig, namespace, cache

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        command = [KUBECTL, f"--kubeconfig={self.kubeconfig}", f"--cache-dir={self.cache}"]
        return subprocess.run(
            [*command, "-n", self.namespace, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
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

    def apply(self, manifest: str) -> str:
        return self("apply", "-f", "-", stdin=manifest)

    def get(self, *arguments: str) -> dict:
        return json.loads(self("get", *arguments, "-o", "json"))

    def until(self, condition: str, what: str, seconds: int = 30) -> None:
        self("wait", f"--for={condition}", what, f"--timeout={seconds}s")


@pytest.fixture(scope="session")
def kubeconfig(tmp_path_factory):
    """Where the cluster is."""
    if named := os.environ.get("CONFORMANCE_KUBECONFIG"):
        yield Path(named)
        return
    cluster = EmbeddedCluster(tmp_path_factory.mktemp("conformance") / "cluster", containers=False)
    cluster.up()
    yield cluster.kubeconfig
    cluster.down(purge=True)


@pytest.fixture
def embedded(kubeconfig):
    """Skips what only the embedded cluster's simulated nodes can show."""
    if os.environ.get("CONFORMANCE_KUBECONFIG"):
        pytest.skip("needs the embedded cluster's simulated nodes")


@pytest.fixture
def kubectl(kubeconfig, tmp_path_factory):
    """kubectl in a fresh namespace."""
    cache = tmp_path_factory.getbasetemp() / "kubectl-cache"
    tool = Kubectl(kubeconfig, f"test-{uuid.uuid4().hex[:8]}", cache)
    tool("create", "namespace", tool.namespace)
    yield tool
    tool("delete", "namespace", tool.namespace, "--wait=false")
