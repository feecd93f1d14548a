"""What a guard starts: servers, functions, model files; in sandboxes and without, with the same answers."""

from __future__ import annotations

import io
import os
import struct
import zipfile
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from labkit.errors import WorkFault
from labkit.isolation.functions import LearnerFunction
from labkit.isolation.guard import FOLDER, Guard, Sandboxed, Unguarded, current, use
from labkit.isolation.relay import Relay
from labkit.isolation.tensors import read_tensors
from labkit.load import HttpClient, Schedule
from labkit.load import run as send_load
from labkit.serving import ScriptServer
from labkit.serving.script import _listens

from .conftest import need_sandbox

SERVER = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = f"{os.getuid()} {os.environ['WORKBOOK_FOLDER']}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
open("left.txt", "w").write("here I was")
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
FUNCTIONS = """
import os
def double(x): return x * 2
def nothing_plain(): return object()
def dies(): os._exit(3)
def hangs():
    while True: pass
def count(state=[]):
    state.append(0)
    return len(state)
def floods():
    os.write(int(os.environ.get("HANDLE", "1")), b"x" * 100_000)
    return "x" * (70 << 20)
"""


@pytest.fixture(params=["guarded", "unguarded"])
def guard(request) -> Guard:
    if request.param == "unguarded":
        return Unguarded()
    need_sandbox()
    return Sandboxed()


@pytest.fixture
def folder(tmp_path) -> Path:
    made = tmp_path / "work"
    made.mkdir()
    (made / "serve.py").write_text(SERVER)
    (made / "answers.py").write_text(FUNCTIONS)
    return made


def test_a_server_is_reached_and_read_and_ends(guard, folder, tmp_path):
    with ScriptServer(log=tmp_path / "log", guard=guard) as server:
        endpoint = server.start(folder)
        if endpoint.network is None:
            answer = httpx.get(endpoint.url, trust_env=False)
        else:
            assert not _listens(endpoint.port)  # nobody on this machine's own network is there
            relay = Relay(endpoint.network, endpoint.port)
            with httpx.Client(transport=httpx.HTTPTransport(uds=str(relay.path))) as client:
                answer = client.get(endpoint.url)
            relay.close()
            if os.geteuid() == 0:
                assert int(answer.text.split()[0]) != 0
        assert answer.status_code == 200
        server.stop()
        assert server.left("left.txt") == b"here I was"
        assert server.left("is-not-there") is None


def test_a_load_is_sent_from_inside_the_server_s_network(guard, folder, tmp_path):
    with ScriptServer(log=tmp_path / "log", guard=guard) as server:
        endpoint = server.start(folder)
        schedule = Schedule.constant(20, seconds=1, warmup=0)
        recording = send_load(schedule, HttpClient(endpoint.url), network=endpoint.network)
    assert recording.statuses() == {200: 20}
    assert 0 <= recording.bystanders <= 1  # the server's own work is known as such


def test_a_server_that_ends_or_listens_elsewhere_is_said(guard, folder, tmp_path):
    (folder / "serve.py").write_text("import nothing_of_that_name")
    with pytest.raises(WorkFault, match=r"did not start.*nothing_of_that_name"):
        ScriptServer(log=tmp_path / "log", guard=guard).start(folder)
    (folder / "serve.py").write_text(SERVER.replace('int(os.environ["PORT"])', "18999"))
    with pytest.raises(WorkFault, match="did not listen") as found:
        ScriptServer(log=tmp_path / "log", guard=guard, patience=4).start(folder)
    assert "18999" in str(found.value)


def test_a_function_is_called(guard, folder, tmp_path):
    with LearnerFunction("answers:double", folder, log=tmp_path / "log", guard=guard) as double:
        assert double(21) == 42
        np.testing.assert_array_equal(double(np.eye(2)), 2 * np.eye(2))
    with LearnerFunction("answers:count", folder, log=tmp_path / "log", guard=guard) as count:
        assert [count(), count()] == [1, 2]


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("nothing_plain", "raised TypeError: a object is no plain value"),
        ("dies", "ended its Python process"),
        ("hangs", "did not return within 0.3 s"),
        ("floods", "raised ValueError: a value of 70 MiB"),
        ("is_not_there", "raised AttributeError"),
    ],
)
def test_a_function_that_fails_is_the_learner_s_fault(guard, folder, tmp_path, function, said):
    name, log = f"answers:{function}", tmp_path / "log"
    with LearnerFunction(
        name, folder, log=log, guard=guard, seconds=0.3 if function == "hangs" else 20
    ) as called:
        called._first = function != "hangs" and called._first
        with pytest.raises(WorkFault, match=said):
            called()


class Booby:
    def __reduce__(self):
        return (exec, (f"import os; open(os.environ.get({FOLDER!r}, '.') + '/sang', 'w')",))


def test_model_files_are_read_and_their_code_is_not_run(guard, tmp_path):
    weights = {"w": np.arange(4.0, dtype=np.float32), "b": np.zeros((2, 3), dtype=np.float32)}
    save_file(weights, tmp_path / "model.safetensors")
    torch.save({name: torch.from_numpy(value) for name, value in weights.items()}, tmp_path / "model.pt")
    np.savez(tmp_path / "model.npz", **weights)
    for name in ("model.safetensors", "model.pt", "model.npz"):
        found = read_tensors(tmp_path / name, guard=guard)
        assert {key: value.tolist() for key, value in found.items()} == {
            key: value.tolist() for key, value in weights.items()
        }
    torch.save({"w": Booby()}, tmp_path / "booby.pt")
    with pytest.raises(WorkFault, match="Weights only load failed"):
        read_tensors(tmp_path / "booby.pt", guard=guard)
    (tmp_path / "link.pt").symlink_to("model.pt")
    for name in ("link.pt", "is-not-there.pt", "log.txt"):
        with pytest.raises(WorkFault, match="is no model file"):
            read_tensors(tmp_path / name, guard=guard)
    assert not list(tmp_path.rglob("sang"))


def test_a_model_file_that_unpacks_to_very_much_ends_inside(tmp_path):
    need_sandbox()
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        head = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            head, {"descr": "|u1", "fortran_order": False, "shape": (1 << 33,)}
        )
        with archive.open("w.npy", "w", force_zip64=True) as file:
            file.write(head.getvalue())
            for _ in range(64):
                file.write(bytes(1 << 20))
    (tmp_path / "bomb.safetensors").write_bytes(struct.pack("<Q", 1 << 62) + b"{}")
    for name in ("bomb.npz", "bomb.safetensors"):
        with pytest.raises(WorkFault, match=r"raised|ended its Python process"):
            read_tensors(tmp_path / name, guard=Sandboxed())


def test_a_process_has_one_guard(folder, tmp_path):
    before = current()
    need_sandbox()
    use(Sandboxed())
    try:
        with ScriptServer(log=tmp_path / "log") as server:
            assert server.start(folder).network is not None
    finally:
        use(before)
