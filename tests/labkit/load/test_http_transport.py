from __future__ import annotations

import asyncio
import base64
import threading
import time
from urllib.parse import urlsplit

import numpy as np
import pytest

from labkit.load import HttpClient, Kind, Outcome, Schedule, run
from labkit.load.http_transport import request_messages, seconds_to_wait
from tests.labkit.load import servers

BRIEF = Schedule.constant(80, seconds=0.25, warmup=0)


def outcomes(server, **fields):
    kind = Kind(name="requests", **{"timeout": 5.0} | fields)
    recording = run(BRIEF, HttpClient(server.url, [kind]))
    assert recording.requests == 20, "no sample is ever lost"
    return recording.outcomes(), recording


@pytest.mark.parametrize(
    "handler",
    [
        servers.well_behaved,
        servers.in_pieces,
        servers.chunked,
        servers.until_closed,
        servers.continues,
    ],
)
def test_right_answers_in_every_framing(serve, handler):
    assert outcomes(serve(handler))[0] == {Outcome.OK: 20}


@pytest.mark.parametrize(
    "handler",
    [
        servers.too_short,
        servers.too_long,
        servers.closes_in_the_middle,
        servers.closes_at_once,
        servers.no_http,
    ],
)
def test_broken_answers_are_misses(serve, handler):
    assert outcomes(serve(handler))[0] == {Outcome.BROKEN: 20}


@pytest.mark.parametrize("handler", [servers.redirects, servers.too_many, servers.overloaded])
def test_wrong_statuses_are_misses(serve, handler):
    assert outcomes(serve(handler))[0] == {Outcome.WRONG_STATUS: 20}


def test_an_expected_status_is_right(serve):
    found, recording = outcomes(serve(servers.overloaded), expected=[200, 503])
    assert found == {Outcome.OK: 20}
    assert recording.statuses() == {503: 20}


def test_retry_after_is_kept(serve):
    _, recording = outcomes(serve(servers.too_many))
    assert set(recording.retry_after.tolist()) == {2.0}
    assert recording.statuses() == {429: 20}


def test_no_answer_is_a_miss_at_its_time_out(serve):
    found, recording = outcomes(serve(servers.says_nothing), timeout=0.3)
    assert found == {Outcome.TIMEOUT: 20}
    assert np.isinf(recording.latency_ms).all()
    waited = (recording.done_ns - recording.intended_ns) / 1e9
    assert waited.min() >= 0.3


def test_nobody_there_is_a_miss():
    with servers.serving(servers.well_behaved) as server:
        url = server.url
    recording = run(BRIEF, HttpClient(url))
    assert recording.outcomes() == {Outcome.REFUSED: 20}


def test_a_server_that_dies_and_comes_back(serve):
    server = serve(servers.well_behaved)

    def restart():
        time.sleep(1.2)
        server.die()
        time.sleep(0.6)
        server.revive()

    thread = threading.Thread(target=restart)
    thread.start()
    recording = run(Schedule.constant(50, seconds=4, warmup=0), HttpClient(server.url))
    thread.join()
    assert recording.requests == 200
    right = recording.outcome == Outcome.OK
    assert right[0], "it answered before"
    assert right[-1], "it answers again"
    assert 5 <= recording.misses <= 120


@pytest.mark.alone
def test_latency_counts_from_the_intended_time(serve):
    """A server that handles one request at a time, 50 ms each, at 80 a second: the queue's wait counts."""
    lock = asyncio.Lock()

    async def one_at_a_time(exchange):
        async with lock:
            await asyncio.sleep(0.05)
        await exchange.answer()

    _, recording = outcomes(serve(one_at_a_time))
    waits = recording.latency_ms
    assert waits[-1] > 300
    assert waits[0] < 300


@pytest.mark.alone
def test_a_slow_answer_does_not_hold_up_the_next(serve):
    async def first_is_slow(exchange):
        await asyncio.sleep(1.0 if exchange.number == 1 else 0)
        await exchange.answer()

    _, recording = outcomes(serve(first_is_slow))
    assert np.sort(recording.latency_ms)[-2] < 900


def test_head_has_no_body(serve):
    async def head(exchange):
        assert exchange.method == "HEAD"
        await exchange.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n")

    assert outcomes(serve(head), method="HEAD")[0] == {Outcome.OK: 20}


def test_connections_are_kept_and_bounded(serve):
    peers = set()

    async def note(exchange):
        peers.add(exchange._writer)
        await asyncio.sleep(0.1)
        await exchange.answer()

    recording = run(BRIEF, HttpClient(serve(note).url, connections=2))
    assert recording.outcomes() == {Outcome.OK: 20}
    assert len(peers) == 2


def test_https(serve, tls_server_context):
    server = serve(servers.well_behaved, tls_server_context)
    url = server.url.replace("http://", "https://")
    assert run(BRIEF, HttpClient(url, verify=False)).outcomes() == {Outcome.OK: 20}
    assert run(BRIEF, HttpClient(url)).outcomes() == {Outcome.REFUSED: 20}
    assert Outcome.OK not in run(BRIEF, HttpClient(server.url)).outcomes()


def test_bytes_on_the_wire(serve):
    _, recording = outcomes(serve(servers.well_behaved), method="POST", bodies=[b"12345"])
    assert recording.received_bytes[0] == len(b"HTTP/1.1 200 X\r\nContent-Length: 8\r\n\r\nok:12345")
    assert recording.sent_bytes[0] > 5


def test_the_request_as_it_is_sent():
    kind = {
        "method": "post",
        "path": "",
        "headers": {"content-type": "text/plain"},
        "bodies": [base64.b64encode(b"hi").decode()],
    }
    (message,) = request_messages(urlsplit("http://me@host:80/a?b=c"), kind)
    lines = message.split(b"\r\n")
    assert lines[0] == b"POST /a?b=c HTTP/1.1"
    assert b"Host: host:80" in lines
    assert b"Content-Length: 2" in lines
    assert [line for line in lines if line.lower().startswith(b"content-type")] == [
        b"content-type: text/plain"
    ]
    assert message.endswith(b"\r\n\r\nhi")


def test_a_retry_after_date_is_not_a_number():
    assert seconds_to_wait(b"120") == 120
    assert np.isnan(seconds_to_wait(b"Fri, 31 Dec 1999 23:59:59 GMT"))
