"""Kubernetes' quantities: `500m`, `8Gi`, `1e3`."""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal
from functools import lru_cache
from typing import Any

_FORM = re.compile(
    r"^([+-]?(?:\d+(?:\.\d*)?|\.\d+))(?:([eE][+-]?\d+)|(n|u|m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?)$"
)
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
PATTERN = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"


@lru_cache(maxsize=4096)
def parse(text: str | int | float) -> Decimal:
    """The number that a quantity stands for.

    Raises:
        ValueError: It is none.
    """
    match = _FORM.match(str(text))
    if match is None:
        raise ValueError(PATTERN)
    number = Decimal(match[1])
    if match[2]:
        return number.scaleb(int(match[2][1:]))
    suffix = match[3] or ""
    if suffix in _BINARY:
        return number * Decimal(1024) ** _BINARY[suffix]
    return number.scaleb(_DECIMAL[suffix])


def canonical(text: Any) -> str:
    """A quantity as the API server writes it: `0.5` becomes `500m`, `1000m` becomes `1`, `1024Mi` becomes `1Gi`."""
    value = parse(text)
    match = _FORM.match(str(text))
    assert match is not None
    if match[3] in _BINARY and value == value.to_integral_value():
        for suffix, power in sorted(_BINARY.items(), key=lambda item: -item[1]):
            if value and value % (Decimal(1024) ** power) == 0:
                return f"{value / Decimal(1024) ** power:f}".split(".")[0] + suffix
        return f"{value:f}".split(".")[0]
    return decimal(value)


def decimal(value: Decimal) -> str:
    """A number as a decimal quantity with the largest suffix that keeps it whole."""
    if value == 0:
        return "0"
    for suffix, power in sorted(_DECIMAL.items(), key=lambda item: -item[1]):
        scaled = value.scaleb(-power)
        if scaled == scaled.to_integral_value():
            return f"{scaled.to_integral_value():f}{suffix}"
    return f"{(value.scaleb(9)).to_integral_value(ROUND_CEILING):f}n"


def milli(value: Decimal) -> int:
    """In thousandths, rounded up: how cpu is counted."""
    return int((value * 1000).to_integral_value(ROUND_CEILING))
