"""Starts an ONNX model, asks it once, and says what that took: `python run_onnx.py int8.onnx`."""

import json
import re
import resource
import sys
import time
from pathlib import Path


def memory_mb():
    """The most memory that this process has held, without what it had from the one that started it."""
    try:
        return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1000
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # macOS, in bytes


started = time.perf_counter()
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
given = session.get_inputs()[0]
image = np.zeros((1, 784), dtype=np.float32)
session.run(None, {given.name: image})
cold = time.perf_counter() - started

started = time.perf_counter()
for _ in range(100):
    session.run(None, {given.name: image})
print(
    json.dumps(
        {
            "cold_ms": 1000 * cold,
            "warm_ms": 10 * (time.perf_counter() - started),
            "memory_mb": memory_mb(),
        }
    )
)
