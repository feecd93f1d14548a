"""Models of releases that should not have been: one answers nobody, one fails for a few inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

BRIGHT = 128.0
"""A mean above this breaks the model of `breaks_on_bright`: that of an inverted image, black ink on white."""


def breaks_on_bright(good: Path, bad: Path) -> Path:
    """Write a model that gives the good one's scores, but fails at run time on a batch with a bright image.

    It loads, is ready, and answers everything that a smoke test of usual images asks: a mean above `BRIGHT`
    makes it look into a table at a place that is not there.
    """
    return _broken(good, bad, BRIGHT)


def breaks_always(good: Path, bad: Path) -> Path:
    """Write a model that loads, and fails at run time whatever it is asked."""
    return _broken(good, bad, -1.0)


def _broken(good: Path, bad: Path, above: float) -> Path:
    model = onnx.load(str(good))
    graph = model.graph
    given, out = graph.input[0].name, graph.output[0].name
    for node in graph.node:
        for number, name in enumerate(node.output):
            if name == out:
                node.output[number] = "good_scores"
        for number, name in enumerate(node.input):
            if name == out:
                node.input[number] = "good_scores"
    graph.initializer.extend(
        [
            numpy_helper.from_array(np.array(above, dtype=np.float32), "bad_limit"),
            numpy_helper.from_array(np.array([1.0], dtype=np.float32), "bad_table"),
        ]
    )
    graph.node.extend(
        [
            helper.make_node("ReduceMean", [given], ["bad_means"], axes=[1], keepdims=0)
            if model.opset_import[0].version < 18
            else _reduce_mean(graph, given),
            helper.make_node("ReduceMax", ["bad_means"], ["bad_brightest"], keepdims=0),
            helper.make_node("Greater", ["bad_brightest", "bad_limit"], ["bad_found"]),
            helper.make_node("Cast", ["bad_found"], ["bad_place"], to=onnx.TensorProto.INT64),
            helper.make_node("Gather", ["bad_table", "bad_place"], ["bad_one"]),
            helper.make_node("Mul", ["good_scores", "bad_one"], [out]),
        ]
    )
    onnx.checker.check_model(model)
    onnx.save(model, str(bad))
    return bad


def _reduce_mean(graph: onnx.GraphProto, given: str) -> onnx.NodeProto:
    """From opset 18 on, the axes are an input."""
    graph.initializer.append(numpy_helper.from_array(np.array([1], dtype=np.int64), "bad_axes"))
    return helper.make_node("ReduceMean", [given, "bad_axes"], ["bad_means"], keepdims=0)
