"""The programs that the load generator is held against, started on loopback and ended again."""

from __future__ import annotations

import csv
import io
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from labkit.environments.environment import Environment

NGINX = """
worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 100000000;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{ listen 127.0.0.1:{port}; location / {{ return 200 "ok\\n"; }} }}
}}
"""


@contextmanager
def nginx() -> Iterator[str]:
    """Nginx with one worker, answering three bytes; yields its URL."""
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin") or "nginx"
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        (Path(folder) / "nginx.conf").write_text(NGINX.format(folder=folder, port=port))
        command = [program, "-c", f"{folder}/nginx.conf", "-e", f"{folder}/error.log"]
        with running(command, port):
            yield f"http://127.0.0.1:{port}/"


@contextmanager
def delay_server(behaviour: str) -> Iterator[str]:
    """A server of known behaviour; yields its URL."""
    port = free_port()
    with running([sys.executable, "-m", "benchmarks.delay_server", str(port), behaviour], port):
        yield f"http://127.0.0.1:{port}/"


@contextmanager
def running(command: list[str], port: int) -> Iterator[None]:
    """A server process that listens on this port while the block runs."""
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 15
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if time.monotonic() > deadline or process.poll() is not None:
                    raise
                time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait()


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def hey(url: str, *, rate: float, seconds: float, workers: int = 50) -> tuple[float, float]:
    """Debian's hey with its rate limit (none if 0); p50 and p99 in milliseconds, to 0.1 ms."""
    command = ["hey", "-z", f"{seconds:g}s", "-c", str(workers), "-o", "csv"]
    if rate:
        command += ["-q", f"{rate / workers:g}"]
    printed = subprocess.run([*command, url], check=True, capture_output=True, text=True).stdout
    rows = list(csv.reader(io.StringIO(printed)))[1:]
    latency = np.array([float(row[0]) for row in rows if row]) * 1000
    # The first second is warm-up, as it is for us; the last column is the offset from the start.
    latency = latency[np.array([float(row[-1]) for row in rows if row]) > 1.0]
    return float(np.quantile(latency, 0.5)), float(np.quantile(latency, 0.99))


def mlperf(url: str, *, rate: float, seconds: float) -> tuple[float, float]:
    """MLPerf's Server scenario, in the environment that has it; p50 and p99 in milliseconds."""
    import json

    program = str(Path(__file__).with_name("mlperf_server.py"))
    python = str(Environment("bench").python)
    command = [python, program, url, str(rate), str(seconds)]
    # Its own messages go to standard output too: the result is the last line.
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = json.loads(printed.strip().splitlines()[-1])
    return float(found["p50_ms"]), float(found["p99_ms"])
