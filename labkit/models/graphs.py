"""ONNX graphs as files: what is in them, what they answer, and how fast they are beside each other.

Notebooks call these on their own files; checks call them inside a guard (`labkit.isolation.functions`), since
a graph that somebody handed in is untrusted. All of them take and give plain values and arrays.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

BATCH = 32


def describe(file: str | Path) -> dict[str, Any]:
    """What a graph's file holds.

    Returns:
        `bytes` of the file; `weights`, the numbers in its tensors of two and more dimensions, `zeros` among
        them, and how many there are of each of the `types` (`FLOAT`, `INT8`, ...); `operators`, how often
        each occurs; the shapes of `inputs` and `outputs` by name, an open dimension as its name; the version
        of the operators, `opset`.
    """
    path = Path(file)
    model = onnx.load(path, load_external_data=False)
    weights = zeros = 0
    types: Counter[str] = Counter()
    for tensor in _tensors(model.graph):
        if len(tensor.dims) < 2:
            continue
        values = onnx.numpy_helper.to_array(tensor, base_dir=str(path.parent))
        weights += values.size
        zeros += int(values.size - np.count_nonzero(values))
        types[onnx.TensorProto.DataType.Name(tensor.data_type)] += values.size
    return {
        "bytes": path.stat().st_size,
        "weights": weights,
        "zeros": zeros,
        "types": dict(types),
        "operators": dict(Counter(node.op_type for node in model.graph.node)),
        "inputs": {each.name: _shape(each) for each in model.graph.input},
        "outputs": {each.name: _shape(each) for each in model.graph.output},
        "opset": max((each.version for each in model.opset_import if not each.domain), default=0),
    }


def scores(
    file: str | Path, images: NDArray[Any], rows: int = 0, as_written: bool = False
) -> NDArray[np.float32]:
    """What a graph with one input answers.

    Args:
        file: The graph.
        images: `(images, 784)`; given to it as float32.
        rows: How many are given at a time; all by default.
        as_written: Execute every operation of the graph. ONNX Runtime simplifies a graph before it runs it,
            and leaves out a dropout that is in it by mistake; other runtimes throw its dice.

    Returns:
        Its first output, `(images, ...)`.
    """
    session = _session(file, simplified=not as_written)
    name = session.get_inputs()[0].name
    given = images.astype(np.float32)
    parts = np.split(given, range(rows, len(given), rows)) if rows else [given]
    answers = [session.run(None, {name: part})[0] for part in parts]
    return np.concatenate(answers).astype(np.float32)


def race(
    files: Sequence[str | Path], images: NDArray[Any], *, rounds: int = 40, runs: int = 3
) -> NDArray[np.float64]:
    """Time graphs side by side, in turns, so that what slows this machine down slows all of them.

    Args:
        files: The graphs.
        images: What each is given in one run, `(images, 784)`.
        rounds: How often each has its turn; in every other round the order is turned round.
        runs: Runs of one turn.

    Returns:
        Seconds of one run, `(rounds, files)`, each on one thread.
    """
    sessions = [_session(file) for file in files]
    feeds = [{session.get_inputs()[0].name: images.astype(np.float32)} for session in sessions]
    seconds = np.empty((rounds, len(sessions)))
    for number in range(-2, rounds):  # the first two warm up
        turns = range(len(sessions)) if number % 2 else reversed(range(len(sessions)))
        for turn in turns:
            started = time.perf_counter()
            for _ in range(runs):
                sessions[turn].run(None, feeds[turn])
            if number >= 0:
                seconds[number, turn] = (time.perf_counter() - started) / runs
    return seconds


def cold_start(file: str | Path, images: NDArray[Any]) -> float:
    """Seconds from a graph's file to its first answer, in a process that has loaded ONNX Runtime already."""
    started = time.perf_counter()
    scores(file, images)
    return time.perf_counter() - started


def _session(file: str | Path, *, simplified: bool = True) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    if not simplified:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def _tensors(graph: Any) -> Iterator[Any]:
    """All constant tensors of a graph and of the graphs within it."""
    yield from graph.initializer
    for each in graph.sparse_initializer:
        yield each.values
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            if attribute.HasField("g"):
                yield from _tensors(attribute.g)


def _shape(value: Any) -> list[int | str]:
    dimensions = value.type.tensor_type.shape.dim
    return [each.dim_param or each.dim_value or "?" for each in dimensions]
