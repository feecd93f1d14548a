from __future__ import annotations

import json

import pytest

from labkit.errors import WorkbookError
from labkit.load import GrpcClient, HttpClient, Kind


@pytest.mark.parametrize(
    "url", ["localhost:8000", "ftp://x/", "http://", "http://h:99999/", "http://h:0/", "http://a b/", ""]
)
def test_an_unusable_address_is_refused(url):
    with pytest.raises(WorkbookError, match="no address"):
        HttpClient(url)


def test_grpc_wants_its_own_scheme():
    with pytest.raises(WorkbookError, match="grpc://"):
        GrpcClient("http://127.0.0.1:1", [Kind(name="a", path="/s/m")])


def test_shares_add_up_to_one():
    kinds = [Kind(name="a", share=0.9), Kind(name="b", share=0.2)]
    with pytest.raises(WorkbookError, match=r"add up to 1.1"):
        HttpClient("http://h/", kinds)
    HttpClient("http://h/", [Kind(name="a", share=0.9), Kind(name="b", share=0.1), Kind(name="c", rate=5)])


def test_names_are_different():
    with pytest.raises(WorkbookError, match="different names"):
        HttpClient("http://h/", [Kind(name="a", share=0.5), Kind(name="a", share=0.5)])


def test_one_kind_needs_no_share():
    assert HttpClient("http://h/").shares == (1.0,)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"bodies": []}, "no bodies"),
        ({"share": 1.0, "rate": 2.0}, "a share and a rate"),
        ({"timeout": 0}, "time-out"),
        ({"path": "/a b"}, "space or a line break"),
        ({"headers": {"X\r\nY": "1"}}, "space or a line break"),
    ],
)
def test_a_kind_that_makes_no_sense_is_refused(fields, says):
    with pytest.raises(WorkbookError, match=says):
        Kind(name="a", **fields)


def test_the_plain_form_is_json_and_keeps_the_check_back():
    kind = Kind(name="a", bodies=[b"\x00\xff"], check=lambda sent, answer: True)
    plain = json.loads(json.dumps(HttpClient("http://h/", [kind]).plain()))
    assert plain["kinds"][0]["keep_answers"] is True
    assert plain["kinds"][0]["expected"] == [200]
    assert "check" not in plain["kinds"][0]
