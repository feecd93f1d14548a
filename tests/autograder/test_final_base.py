"""Which image the last stage of a Dockerfile stands on, through however many stages."""

from __future__ import annotations

import pytest

from autograder.images import final_base
from labkit.engines.dockerfile import Dockerfile
from labkit.errors import WorkFault


@pytest.mark.parametrize(
    ("text", "base"),
    [
        ("FROM a:1\n", "a:1"),
        ("FROM a:1 AS one\nFROM b:2\nCOPY --from=one / /\n", "b:2"),
        ("FROM a:1 AS one\nFROM b:2 AS two\nFROM one\n", "a:1"),
        ("FROM a:1 AS a\nFROM a AS b\nFROM b\n", "a:1"),
        ("FROM a:1\nFROM b:2\nFROM 0\n", "a:1"),
        ("ARG V=3\nFROM a:${V} AS one\nFROM one\n", "a:3"),
    ],
)
def test_stages_are_followed(text, base):
    assert final_base(Dockerfile(text)).tagged == base


@pytest.mark.parametrize("text", ["# nothing yet\n", "FROM scratch\n", "ARG V=1\n"])
def test_no_base_is_said(text):
    with pytest.raises(WorkFault, match=r"no base image|no instruction"):
        final_base(Dockerfile(text))
