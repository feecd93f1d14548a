"""The reference answer of lab 11-01 under bad treatment: never a crash or a 500, and as before afterwards."""

import json
import socket
import subprocess
import time

import numpy as np
import pytest

from autograder.answers import answers_of
from autograder.loading import load_rubric
from autograder.rubrics.week11_serving.handed_out import lay
from autograder.served import Served
from labkit import environments
from labkit.course import find_course
from labkit.environments import Environment
from labkit.errors import WorkFault
from labkit.load import HttpClient, Kind, Outcome, Schedule, run
from labkit.models.store import models_folder, prepare


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    prepare(models_folder() / "digits", say=lambda _: None)
    lab = find_course().lab("week11/fastapi_server")
    reference = next(each for each in answers_of(load_rubric(lab)) if each.name == "reference")
    laid = reference.lay(tmp_path_factory.mktemp("answer"))
    return lay(laid / lab.name, tmp_path_factory.mktemp("work") / "work")


@pytest.fixture(scope="module")
def server(folder, tmp_path_factory):
    with Served(folder, log=tmp_path_factory.mktemp("log") / "log") as served:
        served.start()
        yield served


@pytest.fixture(autouse=True)
def as_before(request):
    """After each test the server answers rightly."""
    yield
    if "server" in request.fixturenames:
        answers(request.getfixturevalue("server"))


def answers(server):
    with np.load(models_folder() / "digits" / "reference.npz", allow_pickle=False) as reference:
        image, scores = reference["images"][:1], reference["scores"][:1]
    answer = server.post("/predict", {"features": image.tolist()})
    assert answer.status == 200
    np.testing.assert_allclose(answer.json()["prediction"], scores, atol=1e-3)


@pytest.mark.nightly
def test_fuzzed_against_its_own_schema(server):
    """Schemathesis: whatever is sent, in the schema or against it, never ends in a 500."""
    environments.ensure("fuzz")
    program = Environment("fuzz").path / "bin" / "schemathesis"
    done = subprocess.run(
        [
            *(program, "run", f"{server.endpoint.url}/openapi.json", "--checks", "not_a_server_error"),
            *("--max-examples", "60", "--seed", "11", "--request-timeout", "10", "--no-color"),
        ],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-500:]


def test_slow_clients_keep_nobody_waiting(server):
    """Twenty clients that send half a request and then nothing."""
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n"
    slow = [socket.create_connection(("127.0.0.1", server.endpoint.port)) for _ in range(20)]
    try:
        for each in slow:
            each.sendall(head + b'{"features": [[')
        answers(server)
    finally:
        for each in slow:
            each.close()


def test_clients_that_leave_are_no_error(server):
    """Ten bulk requests whose senders don't wait for the answer."""
    body = json.dumps({"features": [[0] * 784] * 200}).encode()
    head = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    for _ in range(10):
        with socket.create_connection(("127.0.0.1", server.endpoint.port)) as leaving:
            leaving.sendall(head + body)
    time.sleep(0.5)
    answers(server)


def test_ten_times_the_asked_rate_is_answered_or_refused(server):
    """1,000 single images a second: whoever gets an answer gets 200 or 503, and nothing breaks."""
    body = json.dumps({"features": [[0] * 784]}).encode()
    kind = Kind(name="single", method="POST", path="/predict", bodies=[body], expected=[200, 503])
    client = HttpClient(server.endpoint.url, kinds=[kind])
    recording = run(Schedule.poisson(1000, seconds=3, warmup=0), client, server=server.endpoint.pid)
    assert set(recording.outcomes()) <= {Outcome.OK, Outcome.TIMEOUT}
    assert set(recording.statuses()) <= {200, 503, 0}
    assert recording.outcomes()[Outcome.OK] > 0


@pytest.mark.parametrize("spoil", [lambda path: path.unlink(), lambda path: path.write_bytes(b"\0" * 4096)])
def test_without_a_sound_model_it_never_says_that_it_is_ready(spoil, folder, tmp_path):
    spoiled = lay(folder, tmp_path / "spoiled")
    spoil(spoiled / "model.safetensors")
    with (
        Served(spoiled, log=tmp_path / "log") as served,
        pytest.raises(WorkFault, match="did not start: serve"),
    ):
        served.start()
