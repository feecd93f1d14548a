"""Clusters side by side: the embedded one, and a whole Kubernetes where it is built."""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import docker
import kubernetes.client
import kubernetes.config
import psutil

from benchmarks.table import Row
from labkit.clusters.debian import images, node, remains
from labkit.clusters.debian.build import Builder
from labkit.clusters.debian.cluster import DebianCluster
from labkit.clusters.embedded.agents import simulated
from labkit.clusters.embedded.cluster import EmbeddedCluster
from labkit.errors import Unavailable

PODS = 1000
REST_SECONDS = 20.0
IMAGE = "localhost/bench:1"
_MEGABYTE = 1 << 20


def pods(repetitions: int) -> Iterator[Row]:
    """With pods that run: the embedded cluster, then the whole Kubernetes where it was built."""
    yield from in_containers(repetitions)
    if Builder().done():
        yield from reference(repetitions)


def embedded(repetitions: int) -> Iterable[Row]:
    """With pods that are simulated: from nothing to a ready node, at rest, and many pods."""
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


def in_containers(repetitions: int) -> Iterator[Row]:
    """The embedded cluster whose pods are containers of this machine's engine, which is running already.

    Raises:
        Unavailable: There is no engine here for pods.
    """
    name = "embedded, containers"
    ups = []
    for _ in range(repetitions):
        with _cluster(containers=True) as (_, seconds):
            ups.append(seconds)
    yield Row(f"{name}: up to a Ready node", ups, "s", "2 s")
    with _cluster(containers=True) as (cluster, _):
        if not cluster.capabilities.containers:
            raise Unavailable("Pods can't be containers here.", why=cluster.why_simulated)
        with _busybox() as archive, closing(docker.DockerClient(base_url=cluster.engine)) as engine:
            engine.images.load(archive.read_bytes())
        yield from _workloads(name, cluster.kubeconfig, repetitions)
        process = cluster.process
        assert process is not None
        yield Row(f"{name}: memory afterwards", [process.memory_info().rss / _MEGABYTE], "MB", "150 MB")


def reference(repetitions: int) -> Iterator[Row]:
    """The whole Kubernetes: the same, and the same small workloads."""
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
        with _busybox() as archive:
            node.import_image(cluster.layout, archive)
        yield from _workloads("Kubernetes 1.20.2", cluster.kubeconfig, repetitions)
    finally:
        cluster.down()


@contextmanager
def _busybox() -> Iterator[Path]:
    """The archive of an image with a shell."""
    with tempfile.TemporaryDirectory(prefix="bench-image-") as folder:
        images.pack_busybox(Path(folder) / "image.tar", IMAGE)
        yield Path(folder) / "image.tar"


def _workloads(name: str, kubeconfig: Path, repetitions: int) -> Iterator[Row]:
    """Small workloads in containers, one after another; what was made is left to the cluster's end."""
    client = kubernetes.config.new_client_from_config(str(kubeconfig))
    for what, measure, target in (
        ("small Job, created to Complete", _job, "1.85 s"),
        ("bare pod to Ready", _pod, "0.72 s"),
        ("three replicas with probes, created to rolled out", _rollout, "3.7 s"),
    ):
        yield Row(f"{name}: {what}", [measure(client, i) for i in range(repetitions)], "s", target)


@contextmanager
def _cluster(*, containers: bool = False) -> Iterator[tuple[EmbeddedCluster, float]]:
    """A fresh embedded cluster, and the seconds until its node was Ready."""
    folder = Path(tempfile.mkdtemp(prefix="bench-cluster-"))
    cluster = EmbeddedCluster(folder / "cluster", containers=containers)
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


def _rollout(client: Any, number: int) -> float:
    apps = kubernetes.client.AppsV1Api(client)
    labels = {"app": f"served-{number}"}
    serves = "mkdir /tmp/www; touch /tmp/www/ready; exec httpd -f -p 8080 -h /tmp/www"
    probe = {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 1}
    container = {"name": "c", "image": IMAGE, "command": ["sh", "-c", serves], "readinessProbe": probe}
    spec = {"containers": [{**container, "livenessProbe": probe}], "terminationGracePeriodSeconds": 0}
    body = {
        "metadata": {"name": labels["app"]},
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }
    began = time.monotonic()
    apps.create_namespaced_deployment("default", body)

    def done() -> bool:
        return apps.read_namespaced_deployment(labels["app"], "default").status.ready_replicas == 3

    _until(done)
    seconds = time.monotonic() - began
    apps.delete_namespaced_deployment(labels["app"], "default")
    return seconds


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
