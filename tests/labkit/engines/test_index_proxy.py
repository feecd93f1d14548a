"""The way out of a fenced engine: where it leads, and what it makes of requests."""

from __future__ import annotations

import pytest

from labkit.engines import host_indexes
from labkit.engines.index_proxy import DEBIAN, PYPI, hosts_of
from labkit.environments.indexes import Indexes
from labkit.isolation.index_proxy_process import place_of, understand


def test_it_leads_to_the_indexes_that_this_machine_names(tmp_path):
    indexes = Indexes(
        index_url="https://user:secret@index.example.com/simple",
        extra_index_urls=("http://more.example.com:8080/simple", "file:///somewhere"),
        find_links=("/wheels", "https://links.example.com/page"),
    )
    assert hosts_of(indexes, tmp_path) == [
        "index.example.com:443",
        "links.example.com:443",
        "more.example.com:8080",
    ]
    assert hosts_of(Indexes(), tmp_path) == sorted(PYPI)
    assert hosts_of(Indexes(no_index=True), tmp_path) == []


def test_it_leads_to_debian_where_the_machine_has_its_packages_from_there(tmp_path):
    (tmp_path / "sources.list").write_text("# deb http://old.example.com/debian x main\n")
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d" / "debian.sources").write_text("URIs: http://deb.debian.org/debian\n")
    assert hosts_of(Indexes(no_index=True), tmp_path) == sorted(DEBIAN)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("http://a.example/x", "a.example:80"),
        ("https://A.example", "a.example:443"),
        ("https://user@a.example:8443/", "a.example:8443"),
        ("http://allowed@evil.example/", "evil.example:80"),
        ("http://[::1]:80/", "::1:80"),
        ("http://a.example:99999999/", ""),
        ("ftp://a.example/", ""),
        ("/only/a/path", ""),
        ("", ""),
    ],
)
def test_where_a_request_wants_to_go(url, place):
    assert place_of(url) == place
    assert understand(f"GET {url} HTTP/1.1\r\nHost: x\r\n\r\n".encode())[0] == place


def test_what_the_host_is_asked():
    place, asked = understand(b"CONNECT Index.example:443 HTTP/1.1\r\nHost: other\r\n\r\n")
    assert (place, asked) == ("index.example:443", b"")
    line = b"GET http://a.example/pool/x.deb?y=1 HTTP/1.1\r\n"
    head = line + b"Proxy-Connection: keep-alive\r\nHost: a.example\r\n\r\n"
    assert understand(head)[1] == (
        b"GET /pool/x.deb?y=1 HTTP/1.1\r\nConnection: close\r\nHost: a.example\r\n\r\n"
    )


def test_no_password_of_an_index_is_handed_to_what_is_not_ours(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "https://user:secret@index.example.com/simple")
    monkeypatch.setenv("HTTPS_PROXY", "http://me:secret@proxy.example.com:3128")
    host_indexes.hand_in(tmp_path / "ours")
    host_indexes.hand_in(tmp_path / "theirs", proxy="http://10.0.0.1:3128")
    assert "secret" in (tmp_path / "ours" / "pip.conf").read_text()
    given = "".join(path.read_text() for path in (tmp_path / "theirs").iterdir() if path.suffix != ".crt")
    assert "index.example.com/simple" in given
    assert "secret" not in given
    assert '"HTTPS_PROXY": "http://10.0.0.1:3128"' in given
