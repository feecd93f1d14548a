"""Faults in YAML (manifests, workflows): those of JSON, and a quantity doubled (`500m`, `1Gi`)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from autograder.mutation.json_values import Path, changed_values
from autograder.mutation.operators import Mutation

_QUANTITY = re.compile(r"(\d+)(m|k|M|G|T|Ki|Mi|Gi|Ti|s|ms|h)")


def mutations(text: str) -> Iterator[Mutation]:
    """All mutations of a YAML file of one document or several; comments are not kept.

    Raises:
        ValueError: It is not YAML.
    """
    try:
        documents = list(yaml.safe_load_all(text))
        nodes = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
    for path, operator, mutated in _changes(documents):
        yield Mutation(f"yaml: {operator}", _line(nodes, path), dump(mutated))


def dump(documents: list[Any]) -> str:
    """The documents as YAML."""
    return yaml.safe_dump_all(documents, sort_keys=False)


def normal_form(text: str) -> str:
    """A file as its mutants are written, for comparing them."""
    return dump(list(yaml.safe_load_all(text)))


def _changes(documents: list[Any]) -> Iterator[tuple[Path, str, Any]]:
    for path, operator, mutated in changed_values(documents):
        if operator == "text":
            value = _at(documents, path)
            if match := _QUANTITY.fullmatch(value):
                operator = "quantity"
                _set(mutated, path, f"{2 * int(match[1])}{match[2]}")
        yield path, operator, mutated


def _at(value: Any, path: Path) -> Any:
    for part in path:
        value = value[part]
    return value


def _set(value: Any, path: Path, other: Any) -> None:
    _at(value, path[:-1])[path[-1]] = other


def _line(nodes: list[yaml.Node], path: Path) -> int:
    """The line of the value at that path, counted from 1."""
    if not path:
        return 1
    node: yaml.Node = nodes[int(path[0])]
    line = node.start_mark.line
    for part in path[1:]:
        if isinstance(node, yaml.MappingNode):
            key, node = next(
                (key, inside) for key, inside in node.value if key.value == str(part) or key.value == part
            )
            line = key.start_mark.line
        elif isinstance(node, yaml.SequenceNode):
            node = node.value[int(part)]
            line = node.start_mark.line
    return line + 1
