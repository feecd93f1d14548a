from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from labkit.errors import WorkbookError
from labkit.load import HttpClient, Kind, Outcome, Schedule, run
from labkit.load import runner as runner_module
from tests.labkit.load import servers

BRIEF = Schedule.constant(80, seconds=0.25, warmup=0)


def test_a_wrong_answer_is_a_miss_and_a_check_may_be_a_closure(serve):
    async def constant(exchange):
        await exchange.answer(body=b"ok:1")

    seen = []

    def check(sent, answer):
        seen.append((sent, answer))
        return answer == b"ok:" + sent

    kind = Kind(name="a", method="POST", bodies=[b"1", b"2"], check=check)
    recording = run(BRIEF, HttpClient(serve(constant).url, [kind]))
    assert recording.outcomes() == {Outcome.OK: 10, Outcome.WRONG_ANSWER: 10}
    assert sorted(seen) == [(b"1", b"ok:1"), (b"2", b"ok:1")], "each distinct pair is checked once"


def test_a_check_that_raises_has_found_a_wrong_answer(serve):
    def check(sent, answer):
        raise ValueError

    recording = run(BRIEF, HttpClient(serve(servers.well_behaved).url, [Kind(name="a", check=check)]))
    assert recording.outcomes() == {Outcome.WRONG_ANSWER: 20}


def test_a_mixed_load_is_told_apart(serve):
    async def by_path(exchange):
        await exchange.answer(503 if exchange.path == "/bulk" else 200)

    kinds = [
        Kind(name="single", share=0.8, path="/single"),
        Kind(name="bulk", share=0.2, path="/bulk"),
        Kind(name="health", rate=20, path="/health"),
    ]
    recording = run(Schedule.poisson(100, seconds=1, warmup=0.2), HttpClient(serve(by_path).url, kinds))
    assert recording.only("single").misses == 0
    assert recording.only("health").requests == 20
    assert recording.only("bulk").misses == recording.only("bulk").requests > 0


def test_it_runs_where_a_loop_already_runs(serve):
    server = serve(servers.well_behaved)

    async def within_a_notebook():
        return run(BRIEF, HttpClient(server.url))

    assert asyncio.run(within_a_notebook()).requests == 20


def test_progress_is_told(serve):
    told = []
    run(
        Schedule.constant(20, seconds=1.2, warmup=0),
        HttpClient(serve(servers.well_behaved).url),
        progress=told.append,
    )
    assert len(told) >= 2
    assert told[-1].sent == told[-1].finished == 24
    assert told[-1].of_seconds == pytest.approx(1.2)


def test_an_interrupt_keeps_what_was_measured(serve):
    server = serve(servers.well_behaved)
    threading.Timer(1.5, lambda: signal.raise_signal(signal.SIGINT)).start()
    started = time.monotonic()
    recording = run(Schedule.constant(50, seconds=60, warmup=0), HttpClient(server.url))
    assert time.monotonic() - started < 30
    assert recording.interrupted
    assert 0 < recording.requests < 2000
    assert recording.misses == 0, "what the interruption cut off is not held against the server"


def test_the_load_process_ends_with_its_parent(serve, tmp_path):
    server = serve(servers.well_behaved)
    script = (
        f"from labkit.load import *\nrun(Schedule.constant(20, seconds=600), HttpClient({server.url!r}))\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[3],
        env={**os.environ, "TMPDIR": str(tmp_path)},  # killed, it can't tidy up
    )
    try:
        deadline = time.monotonic() + 20
        while not server.requests and time.monotonic() < deadline:
            time.sleep(0.05)
        children = psutil.Process(parent.pid).children(recursive=True)
        assert children
    finally:
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not alive


def test_a_load_process_that_fails_is_told(monkeypatch):
    monkeypatch.setattr(runner_module.sys, "executable", "/bin/false")
    with pytest.raises(WorkbookError, match="without a recording"):
        run(BRIEF, HttpClient("http://127.0.0.1:9/"))
