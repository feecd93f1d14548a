"""The embedded engine's coming and going, on one of its own in a network of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from labkit.engines import choice, places
from labkit.engines.daemon import Daemon
from labkit.errors import Unavailable, WorkbookError

SCRIPT = """
import json, os, signal, socket, subprocess, sys, time
from pathlib import Path
import psutil
from labkit.engines.daemon import Daemon
from labkit.engines.embedded import EmbeddedEngine

def see():
    rules = "".join(subprocess.run(["iptables", "-t", t, "-S"], capture_output=True, text=True).stdout
                    for t in ("filter", "nat"))
    links = sorted(name for _, name in socket.if_nameindex())
    return [rules, links, Path("/proc/sys/net/ipv4/ip_forward").read_text()]

place = Path(sys.argv[1])
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
engine = EmbeddedEngine(Daemon(place / "run", place / "data", "mlwbtest0", "ml-workbook-test"))
before = see()
found = {"first": engine.up(), "second": engine.up(), "bridge": engine.about().bridge}
engine._client.networks.create("a-network-of-a-person")
found["while up"] = see() != before
if sys.argv[2] == "crash":
    os.kill(int((place / "run/pid").read_text()), signal.SIGKILL)
    time.sleep(0.2)
    found["after a crash"] = [engine.daemon.is_up(), engine.up()]
found["down"] = [engine.down(), engine.down()]
found["left"] = engine.daemon.leftovers()
found["as before"] = see() == before
found["run folder"] = (place / "run").exists()
print(json.dumps(found))
"""


SIDE_BY_SIDE = """
import dataclasses, json, subprocess, sys
from pathlib import Path
from labkit.engines import bases, machine
from labkit.engines.daemon import Daemon
from labkit.engines.embedded import EmbeddedEngine
from labkit.isolation.limits import MIB, Limits

place, tree = Path(sys.argv[1]), Path(sys.argv[2])
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
limits = Limits(memory_bytes=300 * MIB, processes=200, cores=1)
engines = []
for name in ("one", "two"):
    named = Daemon.named(f"test-{name}", limits)
    daemon = dataclasses.replace(named, run=place / name, data=place / f"d{name}")
    engines.append(EmbeddedEngine(daemon))
found = {"up": [engine.up() for engine in engines]}
found["networks"] = len({engine.daemon.state["subnet"] for engine in engines})
found["bound"] = engines[0].daemon.state["bound"]
for engine in engines:
    engine.load_root(tree, "tiny:1", [])
greedy = engines[0].run("tiny:1", ["python3", "-c", "x = bytearray(500 << 20)"], memory_mib=None)
found["greedy"] = greedy.wait(30).exit_code
serve = ["python3", "-m", "http.server", "8000"]
with engines[1].run("tiny:1", serve, ports=[8000]) as server:
    server.wait_for_port(8000)
    found["down"] = [engines[0].down()]
    found["left"] = engines[0].daemon.leftovers()
    server.wait_for_port(8000)
    found["the other goes on"] = server.state()["Running"]
found["down"].append(engines[1].down())
found["left"] += engines[1].daemon.leftovers()
print(json.dumps(found))
"""


@pytest.fixture
def place(engine):
    """A short path: a socket's name has at most a hundred letters."""
    folder = Path(tempfile.mkdtemp(prefix="wb-"))
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("how", ["plain", "crash"])
def test_it_comes_and_goes_without_a_trace(place, how):
    ran = subprocess.run(
        ["unshare", "--net", sys.executable, "-c", SCRIPT, str(place), how],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[3],
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    found = json.loads(ran.stdout)
    assert found.pop("after a crash", [False, True]) == [False, True]
    assert found == {
        "first": True,
        "second": False,
        "bridge": True,
        "while up": True,
        "down": [True, False],
        "left": [],
        "as before": True,
        "run folder": False,
    }


def test_engines_run_side_by_side_each_within_its_limits(place):
    ran = subprocess.run(
        [
            *("unshare", "--net", sys.executable, "-c", SIDE_BY_SIDE),
            *(str(place), str(places.cache("bases") / "python-3.11-slim-1.tar")),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[3],
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert json.loads(ran.stdout) == {
        "up": [True, True],
        "networks": 2,
        "bound": ["cpu", "memory", "pids"],
        "greedy": 137,
        "down": [True, True],
        "left": [],
        "the other goes on": True,
    }


def test_it_survives_the_one_that_started_it(engine):
    assert Daemon().is_up()
    process = Daemon()._process()
    assert process is not None
    assert process.ppid() == 1 or process.parent().pid != os.getpid()


def test_without_root_it_says_what_would_help(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Unavailable, match="set DOCKER_HOST, or run this as root"):
        Daemon(tmp_path / "run", tmp_path / "data").up(lambda line: None)


def test_which_engine_is_taken(monkeypatch):
    monkeypatch.delenv(choice.VARIABLE, raising=False)
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    assert choice.chosen() == "docker"
    assert choice.chosen("embedded") == "embedded"
    with pytest.raises(Unavailable, match=r"No container engine answers at unix:///nowhere.sock"):
        choice.connect("docker")
    with pytest.raises(WorkbookError, match="There are: auto, docker, embedded"):
        choice.connect("rocket")
    assert set(choice.backends()) >= {"docker", "embedded"}
