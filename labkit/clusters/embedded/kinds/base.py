"""The form of a kind's rules, and those that many kinds share: names, labels, ports."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from labkit.clusters.embedded.errors import Cause, invalid, required

Object = dict[str, Any]

_SUBDOMAIN = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_LABEL_1035 = r"[a-z]([-a-z0-9]*[a-z0-9])?"
_VALUE = r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?"
_QUALIFIED = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
NAME_FORMS = {
    "subdomain": (
        _SUBDOMAIN,
        253,
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must "
        "start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
        f"'{_SUBDOMAIN}')",
    ),
    "label": (
        _LABEL,
        63,
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and "
        "end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
        f"'{_LABEL}')",
    ),
    "label-1035": (
        _LABEL_1035,
        63,
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic "
        "character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for "
        f"validation is '{_LABEL_1035}')",
    ),
}
_LABEL_NAME = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
    "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    f"'{_QUALIFIED}')"
)
_LABEL_VALUE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must "
    "start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for "
    f"validation is '{_VALUE}')"
)


def _no_prepare(thing: Object, old: Object | None) -> None:
    pass


def _no_causes(thing: Object, old: Object | None) -> Iterable[Cause]:
    return ()


@dataclass(frozen=True)
class Rules:
    """What is particular to a kind.

    Attributes:
        prepare: Fills in, in place, what depends on other fields; gets the old object on an update.
        check: Finds what is not valid in an object (and in its change, on an update).
        check_status: The same for the `status` subresource.
        names: The form of its objects' names.
        generation: Whether changes are counted in `metadata.generation`.
    """

    prepare: Callable[[Object, Object | None], None] = _no_prepare
    check: Callable[[Object, Object | None], Iterable[Cause]] = _no_causes
    names: str = "subdomain"
    generation: bool = False


NOTHING = Rules(generation=True)


def name_causes(path: str, value: str, form: str) -> Iterator[Cause]:
    """What is wrong with a name."""
    pattern, longest, words = NAME_FORMS[form]
    if len(value) > longest:
        yield invalid(path, value, f"must be no more than {longest} characters")
    if not re.fullmatch(pattern, value):
        yield invalid(path, value, words)


def label_causes(path: str, labels: Any) -> Iterator[Cause]:
    """What is wrong with labels."""
    for key, value in (labels or {}).items():
        prefix, _, name = key.rpartition("/")
        if len(name) > 63:
            yield invalid(path, key, "name part must be no more than 63 characters")
        elif not re.fullmatch(_QUALIFIED, name):
            yield invalid(path, key, _LABEL_NAME)
        if prefix and not re.fullmatch(_SUBDOMAIN, prefix):
            yield invalid(path, key, f"prefix part {NAME_FORMS['subdomain'][2]}")
        if not isinstance(value, str):
            continue
        if len(value) > 63:
            yield invalid(path, value, "must be no more than 63 characters")
        elif not re.fullmatch(_VALUE, value):
            yield invalid(path, value, _LABEL_VALUE)


def metadata_causes(thing: Object, form: str) -> Iterator[Cause]:
    """What is wrong with an object's metadata."""
    metadata = thing["metadata"]
    if not metadata.get("name"):
        yield required("metadata.name", "name or generateName is required")
    else:
        yield from name_causes("metadata.name", metadata["name"], form)
    yield from label_causes("metadata.labels", metadata.get("labels"))
    for name in metadata.get("finalizers") or ():
        if "/" not in name and name not in ("foregroundDeletion", "orphan", "kubernetes"):
            yield invalid(
                "metadata.finalizers",
                name,
                "name is neither a standard finalizer name nor is it fully qualified",
            )
    for owner in metadata.get("ownerReferences") or ():
        for field, word in (("apiVersion", "version"), ("kind", "kind"), ("name", "name"), ("uid", "uid")):
            if not owner.get(field):
                yield invalid(f"metadata.ownerReferences.{field}", "", f"{word} must not be empty")


def selector_causes(path: str, selector: Any) -> Iterator[Cause]:
    """What is wrong with a selector in an object."""
    yield from label_causes(f"{path}.matchLabels", (selector or {}).get("matchLabels"))
    for i, one in enumerate((selector or {}).get("matchExpressions") or ()):
        where, operator = f"{path}.matchExpressions[{i}]", one.get("operator")
        if operator in ("In", "NotIn") and not one.get("values"):
            yield required(f"{where}.values", "must be specified when `operator` is 'In' or 'NotIn'")
        elif operator in ("Exists", "DoesNotExist") and one.get("values"):
            yield Cause(
                "Forbidden",
                f"{where}.values",
                "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
            )
        elif operator not in ("In", "NotIn", "Exists", "DoesNotExist"):
            yield invalid(f"{where}.operator", operator, "not a valid selector operator")


def immutable(path: str, new: Any, old: Any) -> Iterator[Cause]:
    """A field that may not change."""
    if new != old:
        yield invalid(path, new, "field is immutable")


def not_negative(path: str, value: Any) -> Iterator[Cause]:
    """A count."""
    if isinstance(value, int) and value < 0:
        yield invalid(path, value, "must be greater than or equal to 0")


def port_cause(path: str, value: Any) -> Iterator[Cause]:
    """A port's number."""
    if isinstance(value, int) and not 0 < value < 65536:
        yield invalid(path, value, "must be between 1 and 65535, inclusive")
