"""Builds that can't succeed: one clear sentence each, and the engine goes on."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from labkit.engines import BuildFault, EngineLost
from labkit.errors import Unavailable, WorkbookError, WorkFault

BASE = "FROM python:3.11-slim\n"
NO_SHELL = "import os; [os.remove(p) for p in ('/bin/sh', '/bin/bash', '/bin/dash')]"


@pytest.mark.parametrize(
    ("dockerfile", "kind", "said"),
    [
        (f"{BASE}RUNN true\n", BuildFault, "Line 2 of the Dockerfile can't be read: unknown instruction"),
        ("# nothing yet\n", BuildFault, "The Dockerfile holds no instruction yet. Begin with FROM."),
        (f"{BASE}COPY absent.py .\n", BuildFault, "COPY found no absent.py in the context"),
        (f"{BASE}RUN echo why >&2; exit 3\n", BuildFault, r"ended with exit code 3: `RUN echo why .*why"),
        ("FROM python:1.0-never\n", Unavailable, "The base image python:1.0-never can't be had here"),
        ("FROM scratch\nCOPY Dockerfile /\nRUN true\n", BuildFault, "has no shell"),
        (f"# syntax=docker/dockerfile:1\n{BASE}", Unavailable, "Take the line out"),
    ],
    ids=["syntax", "empty", "copy", "step", "base", "shell", "frontend"],
)
def test_what_is_wrong_is_said_in_a_sentence(engine, context, dockerfile, kind, said):
    with pytest.raises(kind, match=said) as caught:
        engine.build(context(dockerfile))
    assert len(caught.value.what.splitlines()) == 1
    assert engine.build(context(f"{BASE}RUN true\n")).image.bytes > 0


def test_without_a_dockerfile(engine, tmp_path):
    with pytest.raises(BuildFault, match=r"There is no Dockerfile in "):
        engine.build(tmp_path)


def test_a_build_that_hangs_is_ended_and_says_where(engine, context):
    folder = context(f"{BASE}RUN echo here; sleep 1000.25\n")
    with pytest.raises(BuildFault, match=r"not built within 3 s: it was still at `RUN echo here; sleep 1000"):
        engine.build(folder, seconds=3)
    deadline = time.monotonic() + 20
    while any("1000.25" in p.cmdline() for p in engine.daemon._family()):
        assert time.monotonic() < deadline, "the step goes on"
        time.sleep(0.1)


def test_a_build_that_lacks_the_network(engine, context):
    code = "import urllib.request as u; u.urlopen('http://example.invalid')"
    with pytest.raises(BuildFault, match="A step asked the network and got no answer"):
        engine.build(context(f'{BASE}RUN python3 -c "{code}"\n'), network=False)


@pytest.mark.alone  # the engine that it kills is everybody's
def test_an_engine_that_ends_during_a_build_is_started_again(engine, context):
    folder = context(f"{BASE}RUN echo under way; sleep 30.25\n")
    pid = int((engine.daemon.run / "pid").read_text())
    killer = threading.Timer(2, os.kill, (pid, signal.SIGKILL))
    killer.start()
    with pytest.raises(EngineLost, match="The engine ended during the build"):
        engine.build(folder, fresh=True)
    killer.join()
    assert engine.build(context(f"{BASE}RUN echo again\n")).image.bytes > 0


def test_a_server_on_another_port_or_on_the_inside_only(engine):
    for address, port, said in (
        ("0.0.0.0", 9000, "It listens on 9000 instead"),
        ("127.0.0.1", 8080, "0.0.0.0"),
    ):
        command = ["python3", "-m", "http.server", str(port), "--bind", address]
        with (
            engine.run("python:3.11-slim", command, ports=[8080]) as container,
            pytest.raises(WorkFault, match=said),
        ):
            container.wait_for_port(8080, seconds=3)


def test_a_server_that_ends_says_its_last_words(engine):
    with (
        engine.run("python:3.11-slim", ["python3", "-c", "raise SystemExit('no model')"]) as container,
        pytest.raises(WorkFault, match=r"exit code 1. Its last line: no model"),
    ):
        container.wait_for_port(8080, seconds=10)


def test_an_image_without_a_shell(engine, context):
    image = engine.build(context(f'{BASE}RUN ["python3", "-c", "{NO_SHELL}"]\nCMD sleep 5\n')).image.id
    with pytest.raises(WorkFault, match="the image has no /bin/sh"):
        engine.run(image)
    with (
        engine.run(image, ["python3", "-c", "import time; time.sleep(60)"]) as container,
        pytest.raises(WorkFault, match="sh"),
    ):
        container.exec(["sh", "-c", "true"])


def test_a_container_with_too_much_memory(engine):
    command = ["python3", "-c", "x = bytearray(200 << 20)"]
    with (
        engine.run("python:3.11-slim", command, memory_mib=64) as container,
        pytest.raises(WorkFault, match="more memory than it was given"),
    ):
        container.wait_for_port(8080, seconds=20)


def test_names_that_are_not_there(engine):
    for ask in (engine.inspect, engine.files, engine.run):
        with pytest.raises(WorkFault, match="There is no image no-such-image"):
            ask("no-such-image")
    engine.remove("no-such-image")
    with pytest.raises(WorkbookError, match="no-such-image was not pushed"):
        engine.push("no-such-image")
