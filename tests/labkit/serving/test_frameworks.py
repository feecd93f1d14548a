"""Every framework that is ready here, really started: right answers, refusals, loopback, nothing left."""

import json
import os
from pathlib import Path

import numpy as np
import psutil
import pytest

from labkit.errors import Unavailable, WorkFault
from labkit.isolation.guard import Sandboxed
from labkit.processes import listening_ports
from labkit.serving import Deployment, NoAnswer, backend, server_for
from labkit.serving.choice import names

ALWAYS = {"fastapi", "grpc", "grpc-aio"}
"""Those that run in core; the others are tried where somebody has made their environment."""
SPOKEN = [
    (name, protocol)
    for name in names()
    if name != "tensorflow-serving"
    for protocol in backend(name).protocols
]


def skip_unless_ready(name):
    if lacking := backend(name).lacks():
        assert name not in ALWAYS
        pytest.skip(f"{name} lacks {lacking}")


@pytest.mark.parametrize(("name", "protocol"), SPOKEN)
def test_it_serves_refuses_and_leaves_nothing(name, protocol, digits, tmp_path):
    skip_unless_ready(name)
    deployment = Deployment(framework=name, protocol=protocol)
    with server_for(deployment, log=tmp_path / "log") as server:
        endpoint = server.start(digits.folder)
        assert endpoint.start_seconds > 0
        assert endpoint.memory_bytes > 20 << 20
        family = server.process.family()
        with server.caller(endpoint) as caller:
            for rows in (slice(0, 1), slice(3, 40)):
                np.testing.assert_allclose(caller.predict(digits.rows[rows]), digits.scores[rows], atol=1e-3)
            for wrong in (digits.rows[:1, :100], np.full((1, 784), np.nan, dtype=np.float32)):
                answer = caller.send(server.dialect.encode(wrong, server.signature))
                assert not answer.right or says_no(server.dialect, answer)
            np.testing.assert_allclose(caller.predict(digits.rows[:1]), digits.scores[:1], atol=1e-3)
        if endpoint.network is None:
            hosts = {each.laddr.ip for each in listening(family)}
            assert hosts <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
            assert endpoint.port in listening_ports(family)
        else:
            assert endpoint.port not in listening_ports([psutil.Process()])
    assert not [process for process in family if process.is_running()]


def says_no(dialect, answer):
    """TorchServe's gRPC API knows no status for a wrong request: OK, and the error in the body."""
    with pytest.raises(KeyError):
        dialect.decode(answer.body)
    return dialect.name == "torchserve-grpc"


def listening(family):
    found = []
    for process in family:
        found += [each for each in process.net_connections(kind="tcp") if each.status == psutil.CONN_LISTEN]
    return found


@pytest.mark.parametrize("name", [name for name in names() if backend(name).batches])
def test_batching_keeps_answers_apart(name, digits, tmp_path):
    skip_unless_ready(name)
    deployment = Deployment(framework=name, batch_size=16, batch_delay_ms=20)
    from concurrent.futures import ThreadPoolExecutor

    with server_for(deployment, log=tmp_path / "log") as server:
        endpoint = server.start(digits.folder)

        def asked(row):
            with server.caller(endpoint) as caller:
                return caller.predict(digits.rows[row : row + 1])

        with ThreadPoolExecutor(16) as threads:
            answers = list(threads.map(asked, range(48)))
    np.testing.assert_allclose(np.concatenate(answers), digits.scores[:48], atol=1e-3)


def test_in_a_sandbox_it_has_a_network_of_its_own(digits, tmp_path):
    guard = Sandboxed()
    server = backend("fastapi")(log=tmp_path / "log", guard=guard)
    with server:
        endpoint = server.start(digits.folder)
        assert endpoint.network is not None
        with server.caller(endpoint) as caller:
            np.testing.assert_allclose(caller.predict(digits.rows[:2]), digits.scores[:2], atol=1e-3)


def test_several_workers_are_several_processes(digits, tmp_path):
    with server_for(Deployment(framework="fastapi", workers=2), log=tmp_path / "log") as server:
        endpoint = server.start(digits.folder)
        with server.caller(endpoint) as caller:
            caller.predict(digits.rows[:1])
        assert len(server.process.family()) > 2


def test_a_handler_of_ones_own_is_taken(digits, tmp_path):
    model = copied(digits, tmp_path)
    (model / "handler.py").write_text(
        "class Handler:\n"
        "    def __init__(self, folder, threads): pass\n"
        "    def predict(self, rows): return rows[:, :10]\n"
    )
    with server_for(Deployment(framework="grpc-aio"), log=tmp_path / "log") as server:
        endpoint = server.start(model)
        with server.caller(endpoint) as caller:
            np.testing.assert_array_equal(caller.predict(digits.rows[:2]), digits.rows[:2, :10])


@pytest.mark.parametrize(
    ("handler", "said"),
    [
        ("import nothing_of_the_kind\n", "No module named 'nothing_of_the_kind'"),
        ("class Handler:\n    def __init__(self, folder, threads): 1 / 0\n", "ZeroDivisionError"),
        (
            "class Handler:\n    def __init__(self, folder, threads): pass\n"
            "    def predict(self, rows): return rows[:, :3]\n",
            r"arrays of shape \(1, 3\)",
        ),
    ],
)
def test_a_handler_that_fails_is_said(handler, said, digits, tmp_path):
    model = copied(digits, tmp_path)
    (model / "handler.py").write_text(handler)
    with (
        server_for(Deployment(framework="fastapi"), log=tmp_path / "log") as server,
        pytest.raises(WorkFault, match=said),
    ):
        server.start(model)


def test_a_corrupt_model_is_said(digits, tmp_path):
    model = copied(digits, tmp_path)
    (model / "model.onnx").write_bytes(b"no model at all")
    with (
        server_for(Deployment(framework="fastapi"), log=tmp_path / "log") as server,
        pytest.raises(WorkFault, match=r"did not start: it ended with exit code \d"),
    ):
        server.start(model)
    (model / "model.onnx").unlink()
    with pytest.raises(WorkFault, match=r"There is no model\.onnx"):
        server.start(model)


def test_what_is_not_made_yet_is_unavailable(digits, monkeypatch, tmp_path):
    monkeypatch.setattr("labkit.environments.environment.REPOSITORY", tmp_path)
    server = backend("granian")()
    monkeypatch.setattr(server, "lacks", lambda: "the environment granian: it is not there yet")
    with pytest.raises(Unavailable, match="make serving FRAMEWORKS=granian"):
        server.start(digits.folder)


def test_an_odd_answer_is_no_prediction(digits, tmp_path):
    with server_for(Deployment(framework="fastapi"), log=tmp_path / "log") as server:
        endpoint = server.start(digits.folder)
        with server.caller(endpoint) as caller:
            with pytest.raises(NoAnswer, match="422") as caught:
                caller.predict(digits.rows[:1, :10])
            assert caught.value.spoken
            body = json.dumps({"features": digits.rows[:1].tolist()}).encode()
            assert caller.send(body).right
    assert not Path(f"/proc/{endpoint.pid}").exists() or os.getpid() == endpoint.pid


def copied(digits, tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    (model / "model.onnx").write_bytes((digits.folder / "model.onnx").read_bytes())
    return model
