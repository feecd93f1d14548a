"""A registry of the tests' own: what is pushed, listed, deleted and collected."""

from __future__ import annotations

import pytest

from labkit.engines.registry import Registry
from labkit.errors import Unavailable, WorkFault
from labkit.serving.script import free_port


@pytest.fixture
def registry(tmp_path, engine):
    registry = Registry(free_port(), tmp_path / "run" / "registry", tmp_path / "data" / "registry")
    assert registry.up(lambda line: None)
    yield registry
    registry.down()


def build(engine, context, tag: str, megabytes: int) -> None:
    engine.build(
        context(f"FROM scratch\nCOPY content-{megabytes} /\n", **{f"content-{megabytes}": ""}), tag=tag
    )


@pytest.fixture
def pushed(registry, engine, context):
    """Three versions of an image, each of a layer of its own of about a megabyte; their digests by tag."""
    digests = {}
    for version in ("1", "2", "3"):
        folder = context("FROM scratch\nCOPY content /\n")
        (folder / "content").write_bytes(bytes((int(version) * i * i) % 251 for i in range(1 << 20)) * 1)
        tag = f"{registry.host}/team/server:{version}"
        engine.build(folder, tag=tag)
        digests[version] = engine.push(tag)
        engine.remove(tag)
    return digests


def test_push_list_and_pull_by_digest(registry, engine, pushed):
    assert not registry.up(lambda line: None)
    assert registry.client.repositories() == ["team/server"]
    assert registry.client.tags("team/server") == ["1", "2", "3"]
    assert registry.client.digest("team/server", "2") == pushed["2"]
    name = f"{registry.host}/team/server@{pushed['2']}"
    assert engine.pull(name).digests == (name,)
    engine.remove(name)


def test_an_index_lists_two_platforms(registry, pushed):
    registry.client.put_index("team/server", "all", {"linux/amd64": pushed["1"], "linux/arm64": pushed["2"]})
    found = registry.client.manifest("team/server", "all")["manifests"]
    assert [entry["platform"]["architecture"] for entry in found] == ["amd64", "arm64"]
    with pytest.raises(WorkFault, match="Push it first"):
        registry.client.put_index("team/server", "all", {"linux/amd64": "sha256:" + "0" * 64})


def test_deleting_frees_bytes_only_when_collected(registry, pushed):
    before = registry.bytes()
    registry.client.delete("team/server", pushed["1"])
    assert registry.bytes() > before - 10_000
    freed = registry.collect()
    assert freed > 1000
    assert registry.is_up()
    assert registry.client.tags("team/server") == ["2", "3"]
    assert registry.client.digest("team/server", "3") == pushed["3"]


def test_what_is_not_there_is_said(registry, pushed):
    with pytest.raises(WorkFault, match="A registry deletes by digest only"):
        registry.client.delete("team/server", "latest")
    with pytest.raises(WorkFault, match="has no team/server:9"):
        registry.client.digest("team/server", "9")
    assert registry.client.tags("nobody/ever") == []
    registry.down()
    with pytest.raises(Unavailable, match="workbook up registry"):
        registry.client.repositories()


def test_a_taken_port_is_said(registry, tmp_path):
    second = Registry(registry.port, tmp_path / "other" / "registry", tmp_path / "other-data")
    with pytest.raises(Unavailable, match="Another program listens on port"):
        second.up(lambda line: None)


def test_an_image_and_an_index_put_together_by_hand(registry, engine):
    client = registry.client
    parts = {
        platform: client.push_image(
            "by/hand",
            None,
            {"file": platform.encode()},
            created=f"2026-01-0{day}T00:00:00Z",
            platform=platform,
        )
        for day, platform in enumerate(("linux/amd64", "linux/arm64"), start=1)
    }
    index = client.put_index("by/hand", "1.0.0", parts)
    client.push_manifest("by/hand", "latest", client.manifest("by/hand", "1.0.0"))
    stored = {entry.digest: entry for entry in client.stored("by/hand")}
    assert set(stored) == {index, *parts.values()}
    assert stored[index].tags == ("1.0.0", "latest")
    assert stored[index].children == tuple(parts.values())
    assert stored[index].created == "2026-01-02T00:00:00Z"
    assert stored[parts["linux/arm64"]].platform == "linux/arm64"
    assert stored[parts["linux/arm64"]].tags == ()
    name = f"{registry.host}/by/hand@{parts['linux/amd64']}"
    assert (
        engine.pull(name).layers[0].digest
        == client.manifest("by/hand", parts["linux/amd64"])["layers"][0]["digest"]
    )
    engine.remove(name)


def test_what_names_nothing_is_refused(registry):
    client = registry.client
    image = client.manifest("by/hand", client.push_image("by/hand", "1", {"file": b"x"}))
    image["layers"][0]["digest"] = "sha256:" + "0" * 64
    with pytest.raises(WorkFault, match="The registry answered 400"):
        client.push_manifest("by/hand", "2", image)
    with pytest.raises(WorkFault, match="has no by/hand@sha256:0000"):
        client.blob("by/hand", "sha256:" + "0" * 64)


def test_registries_of_other_names_are_others():
    one, two = Registry.named("one"), Registry.named("two")
    assert len({one.port, two.port, Registry().port}) == 3
    assert len({one.data, two.data, Registry().data}) == 3
    assert Registry.named("one") == one
