"""A check's namespace goes with it; what a killed check left goes with the next."""

from __future__ import annotations

import pytest

from autograder import namespaces
from autograder.namespaces import Namespace
from labkit.clusters.embedded.cluster import EmbeddedCluster


@pytest.fixture
def cluster(tmp_path):
    made = EmbeddedCluster(tmp_path / "cluster", containers=False)
    made.up()
    yield made
    made.down(purge=True)


def names(kubectl):
    return {one["metadata"]["name"] for one in kubectl.get("namespaces")["items"]}


def test_it_goes_at_the_end(cluster):
    with Namespace(cluster, "first") as space:
        assert space.name in names(space.owner)
    assert space.name not in names(space.owner)


def test_what_a_killed_check_left_goes_with_the_next_and_others_stay(cluster, monkeypatch):
    killed, beside = Namespace(cluster, "killed"), Namespace(cluster, "beside")
    beside.__enter__()
    monkeypatch.setattr(namespaces, "_me", lambda: "1-12345")
    killed.__enter__()
    monkeypatch.undo()
    somebody_s = Namespace(cluster, "theirs")
    somebody_s.owner("create", "namespace", somebody_s.name)
    with Namespace(cluster, "next") as space:
        space.owner("wait", "--for=delete", f"namespace/{killed.name}", "--timeout=20s")
        assert {space.name, beside.name, somebody_s.name} <= names(space.owner)
