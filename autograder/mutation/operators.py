"""What a mutation operator gives, and which operators there are for a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch


@dataclass(frozen=True)
class Mutation:
    """A file with one small fault.

    Attributes:
        operator: Which kind of fault, `python: comparison`.
        line: Where, counted from 1.
        text: The whole file with the fault in it.
    """

    operator: str
    line: int
    text: str


Operators = Callable[[str], Iterator[Mutation]]
"""All mutations of a file's text, in the file's order; raises ValueError for a text that it can't read."""


def operators_for(name: str) -> Operators | None:
    """The operators for a file of that name; None if there are none for its kind."""
    from autograder.mutation import dockerfile, json_values, python_code, yaml_values

    kinds: dict[str, Operators] = {
        "*.py": python_code.mutations,
        "Dockerfile*": dockerfile.mutations,
        "*.Dockerfile": dockerfile.mutations,
        "*.yaml": yaml_values.mutations,
        "*.yml": yaml_values.mutations,
        "*.json": json_values.mutations,
    }
    return next((operators for pattern, operators in kinds.items() if fnmatch(name, pattern)), None)
