"""The reference answer of lab 11-05 under bad treatment: never a crash or a 500, and as before afterwards."""

import json
import shutil
import socket
import time

import numpy as np
import pytest

from autograder.answers import answers_of
from autograder.loading import load_rubric
from autograder.rubrics.week11_serving.reader_load import BINARY, JSON, ask, close
from autograder.served import Served
from labkit.course import find_course
from labkit.errors import WorkFault
from labkit.load import HttpClient, Kind, Outcome, Schedule, run
from labkit.models import models_folder, reader


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    reader.prepare(models_folder() / "reader", say=lambda _: None)
    lab = find_course().lab("week11/hardware_efficiency")
    reference = next(each for each in answers_of(load_rubric(lab)) if each.name == "reference")
    folder = reference.lay(tmp_path_factory.mktemp("answer")) / lab.name
    for name in ("model-1.onnx", "model-2.onnx"):
        shutil.copyfile(models_folder() / "reader" / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def server(folder, tmp_path_factory):
    with Served(folder, log=tmp_path_factory.mktemp("log") / "log") as served:
        served.start()
        yield served


@pytest.fixture(scope="module")
def reference():
    with np.load(models_folder() / "reader" / "reference.npz", allow_pickle=False) as arrays:
        return dict(arrays)


@pytest.fixture(autouse=True)
def as_before(request, reference):
    """After each test the server answers rightly."""
    yield
    if "server" in request.fixturenames:
        answers(request.getfixturevalue("server"), reference)


def answers(server, reference):
    given = ask(server, reference["images"][:2]).scores
    assert close(given, reference["scores_1"][:2]) == 2


@pytest.mark.parametrize(
    "body",
    [
        b'{"features": "a seven"}',
        b'{"features": 7}',
        b'{"features": [[[0]]]}',
        b'{"features": [' + b"[" * 5000,
        b'["features"]',
        b"\xff\xfe",
        json.dumps({"features": [[True] * 784]}).encode(),
        json.dumps({"features": [["7"] * 784]}).encode(),
        json.dumps({"features": [[10**30] * 784]}).encode(),
        json.dumps({"features": [[0] * 784, [0] * 783]}).encode(),
        b"[" + b" " * (9 << 20),
    ],
    ids=range(11),
)
def test_bodies_that_hold_no_images_are_refused(server, body):
    assert 400 <= server.request("POST", "/predict", body, {"content-type": JSON}).status < 500


@pytest.mark.parametrize("body", [b"", b"2", b'{"version": 2}', b'{"version": ["2"]}', b"[" * 100_000])
def test_a_switch_that_is_none_is_refused(server, body):
    assert 400 <= server.request("PUT", "/model", body).status < 500


@pytest.mark.parametrize("version", ["../model-1", "", "1.onnx", "*"])
def test_a_version_is_no_path(server, version):
    assert server.request("PUT", "/model", json.dumps({"version": version}).encode()).status == 404


def test_slow_clients_keep_nobody_waiting(server, reference):
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n"
    slow = [socket.create_connection(("127.0.0.1", server.endpoint.port)) for _ in range(20)]
    try:
        for each in slow:
            each.sendall(head + b"\0" * 100)
        answers(server, reference)
    finally:
        for each in slow:
            each.close()


def test_clients_that_leave_are_no_error(server, reference):
    body = np.random.default_rng(1).integers(0, 256, 784 * 100, dtype=np.uint8).tobytes()
    head = (
        f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: {BINARY}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode()
    for _ in range(10):
        with socket.create_connection(("127.0.0.1", server.endpoint.port)) as leaving:
            leaving.sendall(head + body)
    time.sleep(0.3)
    answers(server, reference)


def test_what_is_too_much_is_refused_at_once(server):
    """40 requests of 1,000 different images within a second: half a minute's work."""
    drawn = np.random.default_rng(2)
    bodies = [drawn.integers(0, 256, 784_000, dtype=np.uint8).tobytes() for _ in range(40)]
    kind = Kind(
        name="bulk",
        method="POST",
        path="/predict",
        bodies=bodies,
        headers={"content-type": BINARY},
        expected=[200, 503],
        timeout=10,
    )
    client = HttpClient(server.endpoint.url, kinds=[kind])
    recording = run(Schedule.constant(40, seconds=1, warmup=0), client, server=server.endpoint.pid)
    assert set(recording.outcomes()) == {Outcome.OK}
    assert {200, 503} == set(recording.statuses())


def test_a_broken_version_leaves_the_old_one_active(folder, reference, tmp_path):
    work = shutil.copytree(folder, tmp_path / "work")
    (work / "model-2.onnx").write_bytes(b"\0" * 4096)
    with Served(work, log=tmp_path / "log") as served:
        served.start()
        assert served.request("PUT", "/model", b'{"version": "2"}').status == 409
        assert served.get("/model").json() == {"version": "1"}
        answers(served, reference)


@pytest.mark.parametrize("spoil", [lambda path: path.unlink(), lambda path: path.write_bytes(b"\0" * 4096)])
def test_without_a_sound_model_it_does_not_start(spoil, folder, tmp_path):
    work = shutil.copytree(folder, tmp_path / "work")
    spoil(work / "model-1.onnx")
    with Served(work, log=tmp_path / "log") as served, pytest.raises(WorkFault, match="did not start: serve"):
        served.start()
