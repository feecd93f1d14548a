"""Reads Kubernetes' protobuf bodies, which kubectl sends for some commands, by a table of field numbers."""

from __future__ import annotations

import base64
import gzip
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any

import orjson

from labkit.clusters.embedded.errors import ApiError, bad_request

MAGIC = b"k8s\x00"
_DEPTH = 40
_ZERO_IS_NONE = frozenset(
    [
        "generation",
        "observedGeneration",
        "stdin",
        "stdinOnce",
        "tty",
        "hostNetwork",
        "hostPID",
        "hostIPC",
        "paused",
        "minReadySeconds",
        "hostPort",
        "readOnly",
        "initialDelaySeconds",
        "timeoutSeconds",
        "periodSeconds",
        "successThreshold",
        "failureThreshold",
        "nodePort",
        "publishNotReadyAddresses",
        "unschedulable",
    ]
)
"""Fields that protobuf always sends and JSON leaves out when they are zero; elsewhere a zero was meant."""


@cache
def _messages() -> dict[str, dict[int, tuple[str, str, str]]]:
    packed = files("labkit.clusters.embedded.data").joinpath("messages.json.gz").read_bytes()
    table = orjson.loads(gzip.decompress(packed))
    return {
        name: {int(number): tuple(field) for number, field in fields.items()}
        for name, fields in table.items()
    }


@cache
def _names() -> dict[tuple[str, str], str]:
    """The message of a kind, by its version and kind; groups are told apart by their versions' folders."""
    return {(".".join(name.split(".")[-3:-1]), name.rsplit(".", 1)[1]): name for name in _messages()}


def decode(body: bytes) -> dict[str, Any]:
    """The object in a body.

    Raises:
        ApiError: It is malformed, or of a kind that is not known.
    """
    if not body.startswith(MAGIC):
        raise bad_request(
            "the body is not in Kubernetes' protobuf form: its first four bytes are not k8s\\x00"
        )
    try:
        envelope = dict(_fields(body[4:]))
        meta = {number: _text(value) for number, value in _fields(_bytes(envelope[1]))}
        version, kind = meta.get(1, ""), meta.get(2, "")
        group, _, number = version.rpartition("/")
        folder = group.split(".")[0] or "core"
        name = _names().get((f"{folder}.{number}", kind)) or _names().get((f"meta.{number}", kind))
        if name is None:
            raise ApiError(
                415, "UnsupportedMediaType", f"{version} {kind} is not read as protobuf here: send JSON"
            )
        thing = _message(name, _bytes(envelope.get(2, b"")), 0)
    except (IndexError, KeyError, ValueError, TypeError, struct.error, OverflowError) as error:
        raise bad_request(f"the protobuf body is malformed: {error}") from None
    return {"kind": kind, "apiVersion": version, **thing}


def _varint(data: bytes, at: int) -> tuple[int, int]:
    result = shift = 0
    while True:
        byte = data[at]
        at += 1
        result |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return result, at
        if shift > 63:
            raise ValueError("a number is too long")


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        value: int | bytes
        if kind == 0:
            value, at = _varint(data, at)
        else:
            if kind == 2:
                length, at = _varint(data, at)
            else:
                length = {1: 8, 5: 4}[kind]
            if at + length > len(data):
                raise ValueError("it ends in the middle of a field")
            value, at = data[at : at + length], at + length
        yield key >> 3, value


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise TypeError("a number where a message belongs")
    return value


def _text(value: int | bytes) -> str:
    return _bytes(value).decode()


def _signed(value: int | bytes) -> int:
    if not isinstance(value, int):
        raise TypeError("bytes where a number belongs")
    return value - (1 << 64) if value >> 63 else value


def _value(kind: str, value: int | bytes, depth: int) -> Any:
    if depth > _DEPTH:
        raise ValueError("it is nested too deeply")
    match kind.rsplit(".", 1)[-1]:
        case "string":
            return _text(value)
        case "bytes":
            return base64.b64encode(_bytes(value)).decode()
        case "bool":
            return bool(value)
        case "int32" | "int64":
            return _signed(value)
        case "double":
            return struct.unpack("<d", _bytes(value))[0]
        case "Quantity":
            return next((_text(part) for number, part in _fields(_bytes(value)) if number == 1), "0")
        case "IntOrString":
            parts = dict(_fields(_bytes(value)))
            return _text(parts.get(3, b"")) if parts.get(1) else _signed(parts.get(2, 0))
        case "Time" | "MicroTime":
            seconds = _signed(dict(_fields(_bytes(value))).get(1, 0))
            return (
                datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if seconds > 0 else None
            )
        case "RawExtension" | "JSON":
            return orjson.loads(_bytes(dict(_fields(_bytes(value))).get(1, b"null")))
        case "ExtraValue" | "Verbs":
            return [_text(part) for _, part in _fields(_bytes(value))]
        case _:
            return _message(kind, _bytes(value), depth + 1)


def _message(name: str, data: bytes, depth: int) -> dict[str, Any]:
    table = _messages().get(name, {})
    read: dict[str, Any] = {}
    for number, value in _fields(data):
        if number not in table:
            continue
        often, kind, field = table[number]
        if often == "m":
            entry = dict(_fields(_bytes(value)))
            empty: int | bytes = 0 if kind in ("int32", "int64", "bool") else b""
            read.setdefault(field, {})[_text(entry.get(1, b""))] = _value(kind, entry.get(2, empty), depth)
        elif often == "r":
            read.setdefault(field, []).append(_value(kind, value, depth))
        elif (found := _value(kind, value, depth)) not in ("", None) and (
            found or field not in _ZERO_IS_NONE
        ):
            # Protobuf sends what JSON leaves out: an empty string means that there is none.
            read[field] = found
    return read
