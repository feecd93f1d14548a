"""Hostile servers: whatever one answers, a check ends in time, says why, and keeps to its memory."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from autograder.nbgrading.runner import can_isolate
from autograder.served import Served
from labkit.errors import WorkFault
from labkit.isolation import guard
from labkit.isolation.guard import Sandboxed
from labkit.isolation.limits import MIB

pytestmark = pytest.mark.skipif(not can_isolate(), reason="there is no sandbox (apt-get install bubblewrap)")

SERVER = """
import gzip, os, socket, threading, time
listener = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
HEAD = b"HTTP/1.1 200 OK\\r\\n"

def answer(line, asked):
{answer}

def one(line):
    try:
        answer(line, line.recv(65536))
        line.close()
    except OSError:
        pass

{before}
while True:
    threading.Thread(target=one, args=(listener.accept()[0],), daemon=True).start()
"""
ANSWERS = {
    "without_end": 'line.sendall(HEAD + b"\\r\\n")\nwhile True: line.sendall(bytes(1 << 20))',
    "says_that_it_is_long": 'line.sendall(HEAD + b"content-length: 999999999999\\r\\n\\r\\n")\n'
    "while True: line.sendall(bytes(1 << 20))",
    "drips": 'line.sendall(HEAD + b"content-length: 1000\\r\\n\\r\\n")\n'
    'while True: line.sendall(b"x"); time.sleep(0.2)',
    "says_nothing": "time.sleep(1000)",
    "heads_without_end": "line.sendall(HEAD)\n"
    'while True: line.sendall(b"x-more: " + b"y" * 1000 + b"\\r\\n")',
    "packed_bomb": "packed = gzip.compress(bytes(200 << 20), 9)\n"
    'line.sendall(HEAD + b"content-encoding: gzip\\r\\n\\r\\n" + packed)',
    "no_http": 'line.sendall(b"\\x00\\xff" * 5000)',
    "leads_astray": "place = asked.split()[1]\n"
    'line.sendall(b"HTTP/1.1 307 X\\r\\nlocation: %s/\\r\\ncontent-length: 9\\r\\n\\r\\n" % place)',
    "ends": "os._exit(0)",
}
SAYS = {"fork_bomb": "was not answered|did not start", "listens_elsewhere": "did not start"}
BEFORE = {
    "fork_bomb": "while True:\n    try: os.fork()\n    except OSError: time.sleep(0.01)",
    "listens_elsewhere": "listener.close(); time.sleep(1000)",
}


@pytest.fixture
def fenced() -> Iterator[None]:
    before = guard.current()
    guard.use(Sandboxed())
    yield
    guard.use(before)


def lay(folder: Path, *, answer: str = "pass", before: str = "") -> Path:
    folder.mkdir()
    indented = "\n".join(f"    {line}" for line in answer.splitlines())
    (folder / "serve.py").write_text(SERVER.replace("{answer}", indented).replace("{before}", before))
    return folder


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_takes_neither_time_nor_memory(fenced, tmp_path, name) -> None:
    own = psutil.Process()
    before = own.memory_info().rss
    with Served(lay(tmp_path / "work", answer=ANSWERS[name]), log=tmp_path / "log") as server:
        server.start()
        started = time.monotonic()
        with pytest.raises(WorkFault, match="GET /health"):
            server.get("/health")
        assert time.monotonic() - started < 20
    assert own.memory_info().rss - before < 200 * MIB
    assert not [child for child in own.children(recursive=True) if "serve.py" in " ".join(child.cmdline())]


@pytest.mark.parametrize("name", BEFORE)
def test_a_server_that_does_something_else_is_said_to(fenced, tmp_path, name) -> None:
    folder = lay(tmp_path / "work", before=BEFORE[name])
    with Served(folder, log=tmp_path / "log") as server:
        server._server.patience = 6.0
        with pytest.raises(WorkFault, match=SAYS[name]):
            server.start().url and server.get("/health")
    assert not [
        child
        for child in psutil.Process().children(recursive=True)
        if "serve.py" in " ".join(child.cmdline())
    ]


def test_a_server_reaches_nobody(fenced, tmp_path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.setblocking(False)
        port = other.getsockname()[1]
        answer = (
            "found = []\n"
            f"for address in (('127.0.0.1', {port}), ('10.0.0.1', 80), ('169.254.169.254', 80)):\n"
            "    try: found.append(str(socket.create_connection(address, timeout=1)))\n"
            "    except OSError as error: pass\n"
            "body = repr(found).encode()\n"
            'line.sendall(HEAD + b"content-length: %d\\r\\n\\r\\n" % len(body) + body)'
        )
        with Served(lay(tmp_path / "work", answer=answer), log=tmp_path / "log") as server:
            server.start()
            assert server.get("/").body == b"[]"
        with pytest.raises(BlockingIOError):
            other.accept()
