from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from labkit.errors import WorkbookError
from labkit.load import GrpcClient, Kind, Outcome, Schedule, preflight, run

BRIEF = Schedule.constant(80, seconds=0.25, warmup=0)


def echo(request, context):
    return b"echo:" + request


def slow(request, context):
    time.sleep(1.0)
    return b""


def refuses(request, context):
    context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no such image")


@pytest.fixture(scope="module")
def url():
    server = grpc.server(ThreadPoolExecutor(4))
    handlers = {
        name: grpc.unary_unary_rpc_method_handler(function)
        for name, function in {"Echo": echo, "Slow": slow, "Refuses": refuses}.items()
    }
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("t.S", handlers)])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"grpc://127.0.0.1:{port}"
    server.stop(None).wait()


def test_unary_calls_are_checked(url):
    kind = Kind(
        name="a", path="/t.S/Echo", bodies=[b"x", b"y"], check=lambda sent, got: got == b"echo:" + sent
    )
    recording = run(BRIEF, GrpcClient(url, [kind]))
    assert recording.outcomes() == {Outcome.OK: 20}
    assert set(recording.received_bytes.tolist()) == {6}


def test_a_deadline_is_a_time_out(url):
    kind = Kind(name="a", path="/t.S/Slow", timeout=0.2)
    assert run(BRIEF, GrpcClient(url, [kind])).outcomes() == {Outcome.TIMEOUT: 20}


def test_an_error_code_is_a_wrong_status_unless_expected(url):
    wrong = run(BRIEF, GrpcClient(url, [Kind(name="a", path="/t.S/Refuses")]))
    assert wrong.outcomes() == {Outcome.WRONG_STATUS: 20}
    assert wrong.statuses() == {grpc.StatusCode.INVALID_ARGUMENT.value[0]: 20}
    right = run(BRIEF, GrpcClient(url, [Kind(name="a", path="/t.S/Refuses", expected=[3])]))
    assert right.outcomes() == {Outcome.OK: 20}


def test_preflight_tells_the_code(url):
    preflight(GrpcClient(url, [Kind(name="a", path="/t.S/Echo")]))
    with pytest.raises(WorkbookError, match="INVALID_ARGUMENT"):
        preflight(GrpcClient(url, [Kind(name="a", path="/t.S/Refuses")]))
    with pytest.raises(WorkbookError, match="UNIMPLEMENTED"):
        preflight(GrpcClient(url, [Kind(name="a", path="/t.S/None")]))
