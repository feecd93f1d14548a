"""MLPerf's own load generator in its Server scenario against a URL, run in an environment that has it.

    python -m venv mlperf && mlperf/bin/pip install mlcommons-loadgen==6.0.17
    mlperf/bin/python benchmarks/mlperf_server.py http://127.0.0.1:8000/ RATE SECONDS

Prints p50 and p99 in milliseconds as one JSON object. Latency counts from the scheduled time.
"""

from __future__ import annotations

import http.client
import json
import queue
import re
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import mlperf_loadgen as loadgen  # type: ignore[import-not-found]

CONNECTIONS = 64


def main(url: str, rate: float, seconds: float) -> None:
    """Run the scenario once."""
    address = urlsplit(url)
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def work() -> None:
        connection = http.client.HTTPConnection(str(address.hostname), address.port)
        while (sample := waiting.get()) is not None:
            connection.request("GET", address.path or "/")
            connection.getresponse().read()
            loadgen.QuerySamplesComplete([loadgen.QuerySampleResponse(sample.id, 0, 0)])

    def issue(samples: list[Any]) -> None:
        for sample in samples:
            waiting.put(sample)

    threads = [threading.Thread(target=work) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    settings = loadgen.TestSettings()
    settings.scenario = loadgen.TestScenario.Server
    settings.mode = loadgen.TestMode.PerformanceOnly
    settings.server_target_qps = rate
    settings.server_target_latency_ns = 1_000_000_000
    settings.min_duration_ms = int(seconds * 1000)
    settings.min_query_count = int(rate * seconds)
    with tempfile.TemporaryDirectory() as folder:
        logging = loadgen.LogSettings()
        logging.log_output.outdir = folder
        sut = loadgen.ConstructSUT(issue, lambda: None)
        samples = loadgen.ConstructQSL(1, 1, lambda _: None, lambda _: None)
        loadgen.StartTestWithLogSettings(sut, samples, settings, logging)
        loadgen.DestroyQSL(samples)
        loadgen.DestroySUT(sut)
        summary = (Path(folder) / "mlperf_log_summary.txt").read_text()
    for _ in threads:
        waiting.put(None)
    found = dict(re.findall(r"(\d+\.\d+) percentile latency \(ns\)\s*:\s*(\d+)", summary))
    print(json.dumps({"p50_ms": int(found["50.00"]) / 1e6, "p99_ms": int(found["99.00"]) / 1e6}))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]))
