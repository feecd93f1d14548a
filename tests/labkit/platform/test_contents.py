"""What is read from a bucket from outside, and how it is damaged."""

import pytest

from labkit.errors import WorkFault
from labkit.platform import Contents, weights
from labkit.platform.contents import Stage
from labkit.storage import EmulatedStore, Gateway


@pytest.fixture(scope="module")
def contents(tmp_path_factory):
    with (
        EmulatedStore(tmp_path_factory.mktemp("contents") / "moto") as store,
        Gateway(store.url, "platform") as way,
    ):
        yield Contents(way)


def test_what_was_published_is_whole_until_it_is_damaged(contents):
    contents.publish("digits", 1, weights(1))
    contents.publish("digits", 2, weights(2))
    assert contents.without_artifact("digits") == []
    key = contents.manifests("digits")[2]["artifact"]
    contents.damage(key)
    assert len(contents.get(key)) == len(weights(2))
    assert contents.without_artifact("digits") == [2]


def test_a_stage_is_none_until_it_is_set(contents):
    assert contents.stage("digits", "production") == Stage(None, [])
    contents.set_stage("digits", "production", [1, 2])
    assert contents.stage("digits", "production") == Stage(2, [1, 2])


@pytest.mark.parametrize("content", [b"", b"[]", b'{"version": "2", "history": []}', b"\xff", b"[" * 99_999])
def test_a_stage_in_no_format_is_the_works_fault(contents, content):
    contents.put("models/odd/stages/production.json", content)
    with pytest.raises(WorkFault, match=r"production\.json"):
        contents.stage("odd", "production")
