"""Logs, exec, attach, cp and port-forward, by kubectl, by the Python client, and raw."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager

import pytest
from conformance.conftest import KUBECTL


@pytest.fixture
def talker(kubectl, pod):
    """A pod with a shell, and a server that says hello."""
    pod("talker", "mkdir /tmp/www; echo hello > /tmp/www/index.html; exec httpd -f -p 8080 -h /tmp/www")
    kubectl.until("condition=ready", "pod/talker")
    return "talker"


@contextmanager
def forwarded(kubectl, what, port):
    """kubectl port-forward; yields the local port."""
    command = [KUBECTL, f"--kubeconfig={kubectl.kubeconfig}", "-n", kubectl.namespace, "port-forward", what]
    process = subprocess.Popen([*command, f":{port}"], stdout=subprocess.PIPE, text=True)
    try:
        yield int(process.stdout.readline().split(" -> ")[0].rpartition(":")[2])
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def test_logs_as_they_come_and_their_end(kubectl, pod):
    pod("says", "for i in 1 2 3; do echo line $i; sleep 0.3; done; echo err >&2", policy="Never")
    kubectl.until("jsonpath={.status.phase}=Running", "pod/says")
    assert kubectl("logs", "-f", "says").splitlines() == ["line 1", "line 2", "line 3", "err"]
    assert kubectl("logs", "says", "--tail=1") == "err"
    assert kubectl("logs", "says", "--limit-bytes=4") == "line"
    assert kubectl("logs", "says", "--timestamps").splitlines()[0].endswith("Z line 1")
    said = kubectl.refused("logs", "says", "--previous")
    assert 'previous terminated container "c" in pod "says" not found' in said
    assert "container other is not valid for pod says" in kubectl.refused("logs", "says", "-c", "other")


def test_exec_carries_input_output_and_the_exit_code(kubectl, talker):
    done = kubectl.run("exec", "-i", talker, "--", "sh", "-c", "cat; echo err >&2; exit 3", stdin="typed\n")
    assert (done.returncode, done.stdout) == (3, "typed\n")
    assert "err" in done.stderr


def test_exec_where_nothing_runs(kubectl, pod):
    pod("over", "exit 0", policy="Never")
    kubectl.until("jsonpath={.status.phase}=Succeeded", "pod/over")
    assert "completed pod" in kubectl.refused("exec", "over", "--", "true")


def test_files_are_copied_both_ways(kubectl, talker, tmp_path):
    data = os.urandom(3_000_000)
    (tmp_path / "big").write_bytes(data)
    kubectl("cp", str(tmp_path / "big"), f"{talker}:/tmp/big")
    kubectl("cp", f"{talker}:/tmp/big", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == data


def test_attach(kubectl, pod):
    pod("echoes", "while read line; do echo got $line; done", container="stdin: true")
    kubectl.until("condition=ready", "pod/echoes")
    process = subprocess.Popen(
        [KUBECTL, f"--kubeconfig={kubectl.kubeconfig}", "-n", kubectl.namespace, "attach", "-i", "echoes"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        process.stdin.write("this\n")
        process.stdin.flush()
        assert process.stdout.readline() == "got this\n"
    finally:
        process.kill()
        process.communicate()


def test_port_forward(kubectl, talker):
    with forwarded(kubectl, f"pod/{talker}", 8080) as port:
        for _ in range(3):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
                assert answer.read() == b"hello\n"


EXEC = """
from kubernetes.stream import stream

def run(*command, **more):
    how = {"stdin": False, "stdout": True, "stderr": True, "tty": False, **more}
    return stream(api.connect_get_namespaced_pod_exec, "talker", namespace, command=list(command), **how)

print(run("echo", "hi"), end="")
talk = run("sh", "-c", "read a; echo got $a; exit 4", stdin=True, _preload_content=False)
talk.write_stdin("it" + chr(10))
talk.run_forever(timeout=10)
print(talk.read_stdout(), end="")
print(talk.returncode)
print(run("tty", tty=True).split("/")[1])
"""

FORWARD = r"""
from kubernetes.stream import portforward

forward = portforward(api.connect_get_namespaced_pod_portforward, "talker", namespace, ports="8080")
line = forward.socket(8080)
line.settimeout(10)
line.sendall(b"GET / HTTP/1.0\r\n\r\n")
said = b""
while piece := line.recv(4096):
    said += piece
print(said.split()[-1].decode())
"""


@pytest.mark.parametrize(("script", "said"), [(EXEC, "hi got it 4 dev"), (FORWARD, "hello")])
def test_the_python_client(cluster, kubectl, talker, script, said):
    """In a process of its own: the client leaves its sockets for the collector to close."""
    head = f"import kubernetes\nnamespace = {kubectl.namespace!r}\n"
    head += f"client = kubernetes.config.new_client_from_config({str(cluster.kubeconfig)!r})\n"
    head += "api = kubernetes.client.CoreV1Api(client)\n"
    done = subprocess.run(
        [sys.executable, "-c", head + script], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert " ".join(done.stdout.split()) == said


def test_an_older_client_s_exec_over_spdy(cluster, kubectl, talker):
    """kubectl's own fall-back: with WebSockets switched off it asks for a raw upgrade."""
    command = [KUBECTL, f"--kubeconfig={cluster.kubeconfig}", "-n", kubectl.namespace, "exec", "-i", talker]
    done = subprocess.run(
        [*command, "--", "sh", "-c", "cat; exit 5"],
        input="over spdy", capture_output=True, text=True, check=False, timeout=30,
        env={**os.environ, "KUBECTL_REMOTE_COMMAND_WEBSOCKETS": "false"},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (5, "over spdy")


def test_an_older_client_s_port_forward_over_spdy(kubectl, talker, monkeypatch):
    monkeypatch.setenv("KUBECTL_PORT_FORWARD_WEBSOCKETS", "false")
    with forwarded(kubectl, f"pod/{talker}", 8080) as port:
        deadline = time.monotonic() + 10
        with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
            line.sendall(b"GET / HTTP/1.0\r\n\r\n")
            said = b""
            while (piece := line.recv(4096)) and time.monotonic() < deadline:
                said += piece
        assert said.endswith(b"hello\n")
