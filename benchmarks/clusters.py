"""Clusters side by side: the embedded one, and a whole Kubernetes where it is built."""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import kubernetes.client
import kubernetes.config
import psutil

from benchmarks.table import Row
from labkit.clusters.debian import images, node, remains
from labkit.clusters.debian.build import Builder
from labkit.clusters.debian.cluster import DebianCluster
from labkit.clusters.embedded.agents import simulated
from labkit.clusters.embedded.cluster import EmbeddedCluster

PODS = 1000
REST_SECONDS = 20.0
IMAGE = "localhost/bench:1"
_MEGABYTE = 1 << 20


def clusters(repetitions: int) -> Iterator[Row]:
    """All figures; the whole Kubernetes is measured where it was built."""
    yield from embedded(repetitions)
    if Builder().done():
        yield from reference()


def embedded(repetitions: int) -> Iterable[Row]:
    """The embedded cluster: from nothing to a ready node, at rest, and with many simulated pods."""
    ups, memory, idle, rates = [], [], [], []
    for _ in range(repetitions):
        with _cluster() as (cluster, seconds):
            ups.append(seconds)
            process = cluster.process
            assert process is not None
            before, began = _cpu([process]), time.monotonic()
            time.sleep(REST_SECONDS)
            idle.append((_cpu([process]) - before) / (time.monotonic() - began) * 100)
            memory.append(process.memory_info().rss / _MEGABYTE)
            rates.append(_many_pods(cluster))
    yield Row("embedded: up to a Ready node", ups, "s", "2 s")
    yield Row("embedded: memory at rest", memory, "MB", "150 MB")
    yield Row("embedded: processor at rest", idle, "% of a core", "2 %")
    yield Row(f"embedded: {PODS} simulated pods, created to Ready", rates, "a second", "20")
    yield Row("embedded: four at once, up to Ready nodes", [_side_by_side() for _ in range(repetitions)], "s")


def reference() -> Iterator[Row]:
    """The whole Kubernetes: the same, and small workloads in real containers."""
    cluster = DebianCluster(lambda line: None)
    cluster.down(purge=True)
    began = time.monotonic()
    cluster.up()
    try:
        yield Row("Kubernetes 1.20.2: up to a Ready node", [time.monotonic() - began], "s")
        ours = list(remains._processes(cluster.layout))
        before, began = _cpu(ours), time.monotonic()
        time.sleep(REST_SECONDS)
        spent = (_cpu(ours) - before) / (time.monotonic() - began) * 100
        yield Row("Kubernetes 1.20.2: processor at rest", [spent], "% of a core")
        yield Row(
            "Kubernetes 1.20.2: memory at rest",
            [sum(process.memory_info().rss for process in ours) / _MEGABYTE],
            "MB",
        )
        archive = Path(tempfile.mkdtemp()) / "image.tar"
        images.pack_busybox(archive, IMAGE)
        node.import_image(cluster.layout, archive)
        shutil.rmtree(archive.parent)
        client = kubernetes.config.new_client_from_config(str(cluster.kubeconfig))
        for name, measure in (("small Job, created to Complete", _job), ("bare pod to Ready", _pod)):
            yield Row(f"Kubernetes 1.20.2: {name}", [measure(client, i) for i in range(5)], "s")
    finally:
        cluster.down()


@contextmanager
def _cluster() -> Iterator[tuple[EmbeddedCluster, float]]:
    """A fresh embedded cluster, and the seconds until its node was Ready."""
    folder = Path(tempfile.mkdtemp(prefix="bench-cluster-"))
    cluster = EmbeddedCluster(folder / "cluster", containers=False)
    try:
        began = time.monotonic()
        cluster.up()
        client = kubernetes.config.new_client_from_config(str(cluster.kubeconfig))
        core = kubernetes.client.CoreV1Api(client)
        _until(lambda: _is_ready(core))
        yield cluster, time.monotonic() - began
    finally:
        cluster.down(purge=True)
        shutil.rmtree(folder, ignore_errors=True)


def _side_by_side() -> float:
    began = time.monotonic()

    def one(_: int) -> float:
        with _cluster():
            return time.monotonic() - began

    with ThreadPoolExecutor(4) as pool:
        return max(pool.map(one, range(4)))


def _many_pods(cluster: EmbeddedCluster) -> float:
    """How many pods of a Deployment become ready in a second."""
    client = kubernetes.config.new_client_from_config(str(cluster.kubeconfig))
    core, apps = kubernetes.client.CoreV1Api(client), kubernetes.client.AppsV1Api(client)
    for i in range(PODS // 100 + 1):
        core.create_node(simulated.node(f"many-{i}", labels={"many": "yes"}))
    container = {"name": "c", "image": "i:1"}
    template = {
        "metadata": {"labels": {"app": "many"}},
        "spec": {"containers": [container], "nodeSelector": {"many": "yes"}},
    }
    spec = {"replicas": PODS, "selector": {"matchLabels": {"app": "many"}}, "template": template}
    began = time.monotonic()
    apps.create_namespaced_deployment("default", {"metadata": {"name": "many"}, "spec": spec})
    _until(
        lambda: apps.read_namespaced_deployment_status("many", "default").status.ready_replicas == PODS, 300
    )
    return PODS / (time.monotonic() - began)


def _job(client: Any, number: int) -> float:
    batch = kubernetes.client.BatchV1Api(client)
    container = {"name": "c", "image": IMAGE, "command": ["true"]}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    began = time.monotonic()
    body = {"metadata": {"name": f"small-{number}"}, "spec": {"template": template}}
    batch.create_namespaced_job("default", body)
    _until(lambda: batch.read_namespaced_job(f"small-{number}", "default").status.succeeded == 1)
    return time.monotonic() - began


def _pod(client: Any, number: int) -> float:
    core = kubernetes.client.CoreV1Api(client)
    container = {"name": "c", "image": IMAGE, "command": ["sleep", "600"]}
    spec = {"containers": [container], "terminationGracePeriodSeconds": 0}
    began = time.monotonic()
    core.create_namespaced_pod("default", {"metadata": {"name": f"bare-{number}"}, "spec": spec})

    def ready() -> bool:
        conditions = core.read_namespaced_pod(f"bare-{number}", "default").status.conditions or ()
        return any((one.type, one.status) == ("Ready", "True") for one in conditions)

    _until(ready)
    return time.monotonic() - began


def _is_ready(core: Any) -> bool:
    nodes = core.list_node().items
    words = [[(one.type, one.status) for one in each.status.conditions or ()] for each in nodes]
    return bool(words) and all(("Ready", "True") in some for some in words)


def _cpu(processes: list[psutil.Process]) -> float:
    return statistics.fsum(sum(process.cpu_times()[:2]) for process in processes)


def _until(done: Callable[[], bool], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:.0f} s")
        time.sleep(0.02)
