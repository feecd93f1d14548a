"""Each dialect, held against the contract that it follows."""

import json

import numpy as np
import pytest

from labkit.serving import Signature
from labkit.serving.protocols import DIALECTS, message_class

ROWS = np.arange(6, dtype=np.float32).reshape(2, 3)
SIGNATURE = Signature(width=3, outputs=2)


def test_bodies_are_those_of_the_protocols():
    def body(name):
        return json.loads(DIALECTS[name].encode(ROWS, SIGNATURE))

    assert body("json") == {"features": ROWS.tolist()}
    assert body("v1") == {"instances": ROWS.tolist()}
    (tensor,) = body("v2")["inputs"]
    assert tensor == {"name": "inputs", "shape": [2, 3], "datatype": "FP32", "data": list(range(6))}
    assert body("seldon") == {"data": {"ndarray": ROWS.tolist()}}


def test_answers_become_rows():
    rows = [[1.0, 2.0], [3.0, 4.0]]
    for name, answer in {
        "json": {"prediction": rows},
        "v1": {"predictions": rows},
        "v2": {"outputs": [{"shape": [2, 2], "data": [1, 2, 3, 4]}]},
        "seldon": {"data": {"ndarray": rows}},
        "bentoml": rows,
    }.items():
        np.testing.assert_array_equal(DIALECTS[name].decode(json.dumps(answer).encode()), rows)
    with pytest.raises(ValueError, match="shape"):
        DIALECTS["json"].decode(b'{"prediction": [1, 2]}')


def test_grpc_carries_raw_numbers():
    request = message_class("inference", "inference.ModelInferRequest").FromString(
        DIALECTS["grpc"].encode(ROWS, SIGNATURE)
    )
    assert list(request.inputs[0].shape) == [2, 3]
    assert request.raw_input_contents[0] == ROWS.tobytes()
    response = message_class("inference", "inference.ModelInferResponse")
    tensor = {"name": "outputs", "datatype": "FP32", "shape": [1, 2]}
    for answer in (
        response(outputs=[tensor], raw_output_contents=[np.array([1, 2], np.float32).tobytes()]),
        response(outputs=[{**tensor, "contents": {"fp32_contents": [1, 2]}}]),
    ):
        np.testing.assert_array_equal(DIALECTS["grpc"].decode(answer.SerializeToString()), [[1, 2]])


def test_integers_stay_integers():
    tokens = np.array([[101, 7592, 102]])
    wire = DIALECTS["grpc"].encode(tokens, Signature(width=3, datatype="INT64"))
    request = message_class("inference", "inference.ModelInferRequest").FromString(wire)
    assert request.inputs[0].datatype == "INT64"
    assert np.frombuffer(request.raw_input_contents[0], np.int64).tolist() == [101, 7592, 102]
