"""What crosses a sandbox's boundary: plain values come through, anything else is refused."""

from __future__ import annotations

import base64
import io
import json
import pickle

import numpy as np
import pytest
import torch

from labkit.isolation.plain import HEAD, decode, encode


def through(value):
    frame = encode(value)
    assert HEAD.unpack(frame[: HEAD.size])[0] == len(frame) - HEAD.size
    return decode(frame[HEAD.size :])


def as_array(content: bytes) -> bytes:
    return json.dumps({"__npy__": base64.b64encode(content).decode()}).encode()


def npy(array: np.ndarray, **options) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def test_plain_values_come_through():
    value = {"a": [1, 2.5, None, True, "text"], "b": {"c": []}}
    assert through(value) == value
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert through([array, {"x": array.T}])[0].dtype == np.float32
    np.testing.assert_array_equal(through([array.T])[0], array.T)
    np.testing.assert_array_equal(through(torch.ones(2)), np.ones(2))
    assert through(np.float64(0.5)) == 0.5


@pytest.mark.parametrize("value", [object(), {1, 2}, np.array([object()]), b"bytes"])
def test_other_values_don_t_leave(value):
    with pytest.raises(TypeError, match="no plain value"):
        encode(value)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[" * 100_000,
        as_array(b"not npy"),
        as_array(npy(np.array([{}]), allow_pickle=True)),
        as_array(pickle.dumps(np.zeros(2))),
        as_array(npy(np.zeros(4))[:-8]),
        as_array(npy(np.zeros(4)) + b"more"),
        as_array(npy(np.zeros(4)).replace(b"(4,)", b"(-4,)"[:4])),
        as_array(npy(np.zeros(4)).replace(b"(4,), }", b"(4**9,)")),
        b'{"__npy__": 7}',
        b'{"__npy__": "\\u00e9"}',
    ],
)
def test_what_is_not_plain_is_refused(content):
    with pytest.raises(ValueError, match=r".+"):
        decode(content)
