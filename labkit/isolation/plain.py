"""Values that cross a sandbox's boundary: JSON, and arrays as npy within it. Never pickle.

A frame is its length in four bytes and that much JSON. What comes from inside may be anything: `decode`
refuses what is not plain.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import struct
from typing import Any

import numpy as np

FRAME_BYTES = 64 << 20
_ARRAY = "__npy__"
_KINDS = "biufc"
HEAD = struct.Struct("!I")


def encode(value: Any) -> bytes:
    """A frame of a value: JSON values, arrays, lists, tuples and dicts of them.

    Raises:
        TypeError: It holds something else.
        ValueError: It is too big.
    """
    content = json.dumps(value, default=_as_json).encode()
    if len(content) > FRAME_BYTES:
        raise ValueError(
            f"a value of {len(content) >> 20} MiB is more than the {FRAME_BYTES >> 20} MiB that pass"
        )
    return HEAD.pack(len(content)) + content


def decode(content: bytes) -> Any:
    """The value of a frame's JSON.

    Raises:
        ValueError: It is none, or holds an array that is not plain numbers.
    """
    try:
        return json.loads(content, object_hook=_from_json)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def _as_json(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if hasattr(value, "detach"):  # a tensor
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray) and value.dtype.kind in _KINDS:
        file = io.BytesIO()
        np.lib.format.write_array(file, np.ascontiguousarray(value), allow_pickle=False)
        return {_ARRAY: base64.b64encode(file.getvalue()).decode("ascii")}
    raise TypeError(f"a {type(value).__name__} is no plain value")


def _from_json(value: dict[str, Any]) -> Any:
    if set(value) != {_ARRAY}:
        return value
    try:
        content = base64.b64decode(value[_ARRAY], validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise ValueError("an array is not base64") from error
    file = io.BytesIO(content)
    try:
        np.lib.format.read_magic(file)
        # What the header says is held against what is there before any memory is taken for it.
        shape, _, dtype = np.lib.format.read_array_header_1_0(file, max_header_size=1000)
    except Exception as error:  # the header is Python source, which can be wrong in many ways
        raise ValueError("an array has no proper header") from error
    size = dtype.itemsize
    for length in shape:
        size *= length
    if dtype.kind not in _KINDS or size != len(content) - file.tell() or min(shape, default=0) < 0:
        raise ValueError("an array does not hold the numbers that its header says")
    file.seek(0)
    return np.lib.format.read_array(file, allow_pickle=False)
