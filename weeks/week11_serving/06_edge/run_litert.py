"""The same for a LiteRT model: `python run_litert.py` with model.tflite beside it; leaves cold.json."""

import json
import re
import resource
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
from ai_edge_litert.interpreter import Interpreter

interpreter = Interpreter(model_path="model.tflite", num_threads=1)
interpreter.allocate_tensors()
given = interpreter.get_input_details()[0]["index"]
image = np.zeros((1, 784), dtype=np.float32)
interpreter.set_tensor(given, image)
interpreter.invoke()
cold = time.perf_counter() - started

started = time.perf_counter()
for _ in range(100):
    interpreter.set_tensor(given, image)
    interpreter.invoke()
Path("cold.json").write_text(
    json.dumps(
        {
            "cold_ms": 1000 * cold,
            "warm_ms": 10 * (time.perf_counter() - started),
            "memory_mb": memory_mb(),
        }
    )
)
