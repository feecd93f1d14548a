"""The way to a bucket: what passes, what is noted, what is lost, what a machine that is cut off reaches."""

import time

import httpx
import pytest

from labkit.isolation.guard import PYTHON
from labkit.storage import EmulatedStore, Fault, Gateway, Machine
from labkit.storage.machines import GCP, PORT

ASKS = f"""
import sys, time, urllib.request
for line in range(200):
    try:
        with urllib.request.urlopen("http://127.0.0.1:{PORT}/" + sys.argv[1], timeout=2) as answer:
            said = answer.read().decode()
    except Exception as error:
        said = getattr(error, "code", "no answer")
    print(said, flush=True)
    time.sleep(0.05)
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    with (
        EmulatedStore(tmp_path_factory.mktemp("store") / "moto") as store,
        Gateway(store.url, "platform") as way,
    ):
        way.direct.put_object(Bucket="platform", Key="there", Body=b"content", ACL="public-read")
        yield way


@pytest.fixture
def asking(gateway, tmp_path):
    """Starts a machine that asks for a path again and again."""
    machines = []

    def start(name, path, **settings):
        machine = Machine(name, gateway, place=GCP, **settings)
        machines.append(machine)
        return machine, machine.start([PYTHON, "-c", ASKS, path], tmp_path, log=tmp_path / f"{name}.log")

    yield start
    for machine in machines:
        machine.close()


def said(started, wanted, seconds=15):
    """Whether the machine's last line is that, within so many seconds."""
    deadline = time.monotonic() + seconds
    while started.process.last_lines(1) != [wanted]:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_a_machine_reaches_its_bucket_and_each_request_is_noted(gateway, asking):
    _, started = asking("one", "platform/there")
    assert said(started, "content")
    noted = [access for access in gateway.accesses if access.request.machine == "one"]
    assert (noted[0].request.method, noted[0].request.key, noted[0].status) == ("GET", "there", 200)


def test_a_machine_reaches_no_other_bucket(gateway, asking):
    _, started = asking("two", "another/there")
    assert said(started, "403")


def test_a_machine_that_is_cut_off_reaches_nothing_until_its_line_is_back(asking):
    machine, started = asking("three", "platform/there")
    assert said(started, "content")
    machine.cut()
    assert said(started, "no answer")
    machine.restore()
    assert said(started, "content")


def test_what_is_lost_never_reached_the_store(gateway, asking):
    gateway.hooks["four"] = lambda request: Fault.LOST if request.key == "there" else None
    _, started = asking("four", "platform/there")
    assert said(started, "no answer")
    del gateway.hooks["four"]
    assert said(started, "content")


def test_the_emulated_store_lets_one_of_many_conditional_writes_through(gateway):
    first = gateway.direct.put_object(Bucket="platform", Key="stage", Body=b"0")["ETag"]
    gateway.direct.put_object(Bucket="platform", Key="stage", Body=b"1", IfMatch=first)
    with pytest.raises(gateway.direct.exceptions.ClientError, match="PreconditionFailed"):
        gateway.direct.put_object(Bucket="platform", Key="stage", Body=b"2", IfMatch=first)


def test_a_gateway_that_is_closed_answers_nobody(tmp_path):
    with EmulatedStore(tmp_path / "moto") as store:
        url = store.url
        Gateway(url, "short").close()
    with pytest.raises(httpx.TransportError):
        httpx.get(url, trust_env=False)
