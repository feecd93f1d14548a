"""Faults in JSON: a number off by one, a truth turned round, a text changed, an entry left out."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

from autograder.mutation.operators import Mutation

Path = tuple[str | int, ...]


def mutations(text: str) -> Iterator[Mutation]:
    """All mutations of a JSON file.

    Raises:
        ValueError: It is not JSON.
    """
    value = json.loads(text)
    for path, operator, mutated in changed_values(value):
        name = next((part for part in reversed(path) if isinstance(part, str)), "")
        lines = text.splitlines()
        line = next((at for at, content in enumerate(lines, start=1) if json.dumps(name) in content), 1)
        yield Mutation(f"json: {operator}", line, json.dumps(mutated, indent=2) + "\n")


def changed_values(value: Any) -> Iterator[tuple[Path, str, Any]]:
    """Every way to change one thing in plain values: where, which kind, and the whole with the change."""
    for path in _paths(value):
        found = _at(value, path)
        for operator, other in _others(found):
            yield path, operator, _with(value, path, other)
        if path and isinstance(path[-1], str):
            yield path, "entry left out", _without(value, path)
        elif path:
            yield path, "item left out", _without(value, path)


def _others(value: Any) -> Iterator[tuple[str, Any]]:
    match value:
        case bool():
            yield "true, false", not value
        case int() | float():
            yield "number", value + 1
        case str() if value:
            yield "text", f"{value}x"


def _paths(value: Any, path: Path = ()) -> Iterator[Path]:
    yield path
    if isinstance(value, dict):
        for key, inside in value.items():
            yield from _paths(inside, (*path, key))
    elif isinstance(value, list):
        for place, inside in enumerate(value):
            yield from _paths(inside, (*path, place))


def _at(value: Any, path: Path) -> Any:
    for part in path:
        value = value[part]
    return value


def _with(value: Any, path: Path, other: Any) -> Any:
    if not path:
        return other
    whole = copy.deepcopy(value)
    _at(whole, path[:-1])[path[-1]] = other
    return whole


def _without(value: Any, path: Path) -> Any:
    whole = copy.deepcopy(value)
    del _at(whole, path[:-1])[path[-1]]
    return whole
