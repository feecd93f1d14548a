from __future__ import annotations

import pytest

from labkit.errors import WorkbookError
from labkit.load import HttpClient, Kind, preflight
from tests.labkit.load import servers


@pytest.mark.parametrize(
    "handler", [servers.well_behaved, servers.in_pieces, servers.chunked, servers.until_closed]
)
def test_a_server_that_answers_is_let_through(serve, handler):
    preflight(HttpClient(serve(handler).url))


@pytest.mark.parametrize(
    ("handler", "says"),
    [
        (servers.redirects, r"redirects to http://127.0.0.1:\d+/elsewhere \(307\)"),
        (servers.too_many, r"answers 429 before any load.*Retry-After: 2.*in 2 s"),
        (servers.overloaded, r"answers 503 before any load.*Retry-After: 5.*in 5 s"),
        (servers.says_nothing, "did not answer within 0.3 s"),
        (servers.too_short, "broke off its answer"),
        (servers.closes_in_the_middle, "broke off its answer"),
        (servers.closes_at_once, "broke off its answer"),
        (servers.no_http, "did not answer within 0.3 s"),
    ],
)
def test_what_would_spoil_the_run_is_said(serve, handler, says):
    with pytest.raises(WorkbookError, match=f"(?s){says}"):
        preflight(HttpClient(serve(handler).url, [Kind(name="a", timeout=0.3)]))


def test_a_wrong_status_shows_what_the_server_says(serve):
    async def invalid(exchange):
        await exchange.answer(422, b'{"detail": "no image"}')

    with pytest.raises(WorkbookError, match=r"answers 422, not 200.*no image"):
        preflight(HttpClient(serve(invalid).url))


def test_nobody_there():
    with servers.serving(servers.well_behaved) as server:
        url = server.url
    with pytest.raises(WorkbookError, match=r"Nothing answers at.*Start the server"):
        preflight(HttpClient(url))


def test_a_host_that_does_not_exist():
    with pytest.raises(WorkbookError):
        preflight(HttpClient("http://no-such-host.invalid/"))


def test_tls_where_http_was_asked_for(serve, tls_server_context):
    server = serve(servers.well_behaved, tls_server_context)
    with pytest.raises(WorkbookError, match=r"speaks TLS.*Measure https://"):
        preflight(HttpClient(server.url))


def test_http_where_tls_was_asked_for(serve):
    url = serve(servers.well_behaved).url.replace("http://", "https://")
    with pytest.raises(WorkbookError, match=r"does not speak TLS.*Try http://"):
        preflight(HttpClient(url, [Kind(name="a", timeout=1.0)]))


def test_a_certificate_that_is_not_trusted(serve, tls_server_context):
    url = serve(servers.well_behaved, tls_server_context).url.replace("http://", "https://")
    with pytest.raises(WorkbookError, match=r"not trusted.*--insecure"):
        preflight(HttpClient(url))
    preflight(HttpClient(url, verify=False))


def test_one_hiccup_is_forgiven(serve):
    async def second_time(exchange):
        await exchange.answer(503 if exchange.number == 1 else 200)

    preflight(HttpClient(serve(second_time).url))


def test_each_kind_is_tried(serve):
    async def by_path(exchange):
        await exchange.answer(200 if exchange.path == "/predict" else 404)

    kinds = [Kind(name="single", share=1.0, path="/predict"), Kind(name="health", rate=5, path="/health")]
    with pytest.raises(WorkbookError, match="/health answers 404"):
        preflight(HttpClient(serve(by_path).url, kinds))
