"""What is killed comes back; what is gone leaves nothing."""

from __future__ import annotations

import psutil
import pytest
from conformance.conftest import Kubectl

from labkit.clusters.embedded import state
from labkit.clusters.embedded.cluster import EmbeddedCluster
from labkit.clusters.embedded.store import Store
from labkit.engines import machine
from labkit.engines.daemon import Daemon
from labkit.engines.embedded import EmbeddedEngine

from .conftest import IMAGE, containers_of, engine_of, load
from .test_life import until


@pytest.fixture
def other(cluster, busybox, tmp_path):
    """A second cluster beside the first, with a tool for it."""
    made = EmbeddedCluster(tmp_path / "other")
    made.up()
    yield made
    made.down(purge=True)


@pytest.fixture
def tool(other, tmp_path):
    return Kubectl(other.kubeconfig, "default", tmp_path / "cache")


def run(tool, name, script, *, policy="Always"):
    tool("run", name, f"--image={IMAGE}", f"--restart={policy}", "--command", "--", "sh", "-c", script)


def kill(cluster):
    process = cluster.process
    process.kill()
    psutil.wait_procs([process], timeout=5)


def test_killed_and_started_again_it_takes_its_pods_up(other, tool):
    run(tool, "stays", "sleep 3600")
    run(tool, "ends", "sleep 3600", policy="Never")
    run(tool, "goes", "sleep 3600")
    for name in ("stays", "ends", "goes"):
        tool.until("condition=ready", f"pod/{name}")
    before = {name: tool.get("pod", name)["status"] for name in ("stays", "ends")}
    kill(other)
    there = containers_of(other)
    next(one for name, one in there.items() if "-ends-" in name and "pause" not in name).kill()
    next(one for name, one in there.items() if "-goes-" in name and "pause" in name).remove(force=True)
    other.up()
    tool.until("jsonpath={.status.phase}=Failed", "pod/ends")
    tool.until("jsonpath={.status.containerStatuses[0].restartCount}=1", "pod/goes")
    tool.until("condition=ready", "pod/goes")
    now = tool.get("pod", "stays")["status"]
    assert now["podIP"] == before["stays"]["podIP"]
    assert (
        now["containerStatuses"][0]["containerID"] == before["stays"]["containerStatuses"][0]["containerID"]
    )
    assert tool.get("pod", "ends")["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 137


def test_a_pod_that_was_deleted_meanwhile_leaves_no_container(other, tool):
    run(tool, "orphan", "sleep 3600")
    tool.until("condition=ready", "pod/orphan")
    kill(other)
    # Its object goes while nobody looks after its containers: as after a backup that was played back.
    store = Store(other.folder / "cluster.db")
    store.delete("pods", "default", "orphan")
    store.close()
    other.up()
    assert containers_of(other) == {}


def test_several_side_by_side_and_gone_without_a_trace(cluster, other, tool):
    places = [state.read(one.folder) for one in (cluster, other)]
    assert len({place["services"] for place in places}) == 2
    assert len({place["port"] for place in places}) == 2
    run(tool, "here", "sleep 3600")
    tool.until("condition=ready", "pod/here")
    name = places[1]["cluster"]
    assert not any(f"workbook-{name}" in one for one in containers_of(cluster))
    process = other.process
    other.down(purge=True)
    assert not process.is_running()
    client = engine_of(cluster)
    try:
        assert client.containers.list(all=True, filters={"label": f"workbook.cluster={name}"}) == []
        assert client.networks.list(names=[f"workbook-{name}"]) == []
    finally:
        client.close()
    assert places[1]["services"] not in machine.ip("route", "show", "table", "local")
    assert not other.folder.exists()


def test_stopped_and_started_again_its_pods_run_anew(other, tool):
    tool("create", "deployment", "web", f"--image={IMAGE}", "--", "sleep", "3600")
    tool.until("condition=available", "deployment/web")
    other.down()
    assert other.process is None
    other.up()

    def restarted():
        found = tool.get("pods", "-l", "app=web")["items"][0]["status"]
        return found["containerStatuses"][0]["restartCount"] == 1 and found["phase"] == "Running"

    until(restarted)
    tool.until("condition=available", "deployment/web")
    assert len(containers_of(other)) >= 2


@pytest.mark.slow
def test_an_engine_that_is_killed_and_comes_back(busybox, tmp_path):
    """On an engine of its own: the labs' is shared."""
    engine = EmbeddedEngine(Daemon.named("pods-test"))
    killed = EmbeddedCluster(tmp_path / "killed", engine=engine)
    try:
        engine.up()
        killed.up()
        load(killed, busybox)
        tool = Kubectl(killed.kubeconfig, "default", tmp_path / "cache")
        tool("create", "deployment", "web", f"--image={IMAGE}", "--", "sleep", "3600")
        run(tool, "once", "sleep 3600", policy="Never")
        tool.until("condition=available", "deployment/web", 60)
        tool.until("condition=ready", "pod/once")
        process = psutil.Process(int((engine.daemon.run / "pid").read_text()))
        family = [process, *process.children(recursive=True)]
        for one in family:
            one.kill()
        psutil.wait_procs(family, timeout=10)
        tool.until("condition=ready=False", "node/node-1")
        tool.until("condition=ready=False", "pod/once")
        engine.up()
        tool.until("condition=ready", "node/node-1", 60)
        tool.until("jsonpath={.status.phase}=Failed", "pod/once")
        until(
            lambda: tool.get("pods", "-l", "app=web")["items"][0]["status"]["containerStatuses"][0][
                "restartCount"
            ]
        )
        tool.until("condition=available", "deployment/web", 60)
        assert (killed.folder / "log").read_text() == ""
    finally:
        killed.down(purge=True)
        engine.down(purge=True)
