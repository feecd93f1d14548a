from __future__ import annotations

import pytest

from labkit.clusters.embedded.agents import simulated
from labkit.clusters.embedded.agents.pretended import PretendedUsage
from labkit.clusters.embedded.resources import built_in
from labkit.clusters.embedded.usage import Usages


@pytest.fixture
def pod(api):
    """Makes a running pod on a simulated node; gives its uid."""
    api.create(built_in("nodes"), "", simulated.node("n"))

    def make(name, **annotations):
        said = {f"simulated.workbook/{key}": value for key, value in annotations.items()}
        containers = [{"name": one, "image": "i:1"} for one in ("a", "b")]
        metadata = {"name": name, "annotations": said}
        thing = {"metadata": metadata, "spec": {"containers": containers, "nodeName": "n"}}
        made, _ = api.create(built_in("pods"), "default", thing)
        api.patch(built_in("pods"), "default", name, {"status": {"phase": "Running"}}, status=True)
        return made.object["metadata"]["uid"]

    return make


def test_simulated_pods_use_what_they_say(api, pod):
    usage = Usages([PretendedUsage(api)])
    first, second, silent = pod("a", cpu="250m", memory="64Mi"), pod("b", cpu="1"), pod("c")
    assert usage.of_pod(first).containers["b"].cpu == 0.25
    assert (usage.of_pod(first).cpu, usage.of_pod(first).memory) == (0.5, 128 << 20)
    assert usage.of_pod(second).cpu == 2
    assert usage.of_pod(silent) is None
    assert usage.of_node("n").cpu == 2.5


def test_unknown_or_unreadable_use_is_none(api, pod):
    usage = PretendedUsage(api)
    assert usage.of_pod(pod("a", cpu="much")) is None
    assert usage.of_pod("nobody") is None
    assert usage.of_node("nowhere") is None
    uid = pod("b", cpu="1")
    api.delete(built_in("pods"), "default", "b", {"gracePeriodSeconds": 0})
    assert usage.of_pod(uid) is None
