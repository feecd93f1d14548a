"""The three kinds of patch: JSON patch, JSON merge patch and Kubernetes' strategic merge patch."""

from __future__ import annotations

import copy
from typing import Any

import jsonpatch
import jsonpointer

from labkit.clusters.embedded.definitions import Place
from labkit.clusters.embedded.errors import ApiError, bad_request

_ORDER = "$setElementOrder/"
_DELETE = "$deleteFromPrimitiveList/"


def json_patch(thing: dict[str, Any], operations: Any) -> dict[str, Any]:
    """RFC 6902.

    Raises:
        ApiError: The operations are malformed, or can't be applied to this object.
    """
    try:
        patched: dict[str, Any] = jsonpatch.apply_patch(thing, operations)
    except jsonpatch.InvalidJsonPatch as error:
        raise bad_request(str(error)) from None
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException, TypeError) as error:
        raise ApiError(
            422, "Invalid", f"the server rejected our request due to an error in our request: {error}"
        ) from None
    return patched


def merge_patch(thing: Any, patch: Any) -> Any:
    """RFC 7386: what is null goes, lists are replaced."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    merged = dict(thing) if isinstance(thing, dict) else {}
    for name, part in patch.items():
        if part is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), part)
    return merged


def strategic(at: Place | None, thing: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """Kubernetes' own: lists with a merge key are merged entry by entry.

    Args:
        at: Where the definitions say how; None where they know nothing, as in a map of labels.
        thing: What there is.
        patch: What to change.
    """
    directive = patch.get("$patch")
    if directive == "replace":
        return {name: part for name, part in copy.deepcopy(patch).items() if name != "$patch"}
    if directive == "delete":
        return {}
    merged = dict(thing)
    if (kept := patch.get("$retainKeys")) is not None:
        merged = {name: part for name, part in merged.items() if name in kept}
    for name, part in patch.items():
        if name.startswith("$"):
            continue
        inner = at.child(name) if at else None
        if part is None:
            merged.pop(name, None)
        elif isinstance(part, dict) and isinstance(merged.get(name), dict):
            merged[name] = strategic(inner, merged[name], part)
        elif isinstance(part, list) and isinstance(merged.get(name), list) and _merges(inner):
            assert inner is not None
            merged[name] = _lists(inner, merged[name], part)
        else:
            merged[name] = _clean(part)
    for name, part in patch.items():
        field = name.partition("/")[2]
        if name.startswith(_DELETE) and isinstance(merged.get(field), list):
            merged[field] = [one for one in merged[field] if one not in part]
        if name.startswith(_ORDER) and isinstance(merged.get(field), list):
            inner = at.child(field) if at else None
            key = inner.site.get("x-kubernetes-patch-merge-key") if inner else None
            merged[field] = _ordered(merged[field], part, key)
    return merged


def _merges(at: Place | None) -> bool:
    return at is not None and "merge" in str(at.site.get("x-kubernetes-patch-strategy", "")).split(",")


def _clean(part: Any) -> Any:
    """A patch's value where there was none: without its directives and its nulls."""
    if isinstance(part, dict):
        return {n: _clean(v) for n, v in part.items() if v is not None and not n.startswith("$")}
    if isinstance(part, list):
        kept = [one for one in part if not (isinstance(one, dict) and "$patch" in one)]
        return [_clean(one) for one in kept]
    return part


def _lists(at: Place, there: list[Any], patch: list[Any]) -> list[Any]:
    key = at.site.get("x-kubernetes-patch-merge-key")
    if key is None:
        return there + [one for one in patch if one not in there]
    if any(isinstance(one, dict) and one.get("$patch") == "replace" for one in patch):
        return [_clean(one) for one in patch if one.get("$patch") != "replace"]
    merged = list(there)
    for one in patch:
        if not isinstance(one, dict) or key not in one:
            raise bad_request(f"map: {one} does not contain declared merge key: {key}")
        # Ports have a key that need not be unique: the protocol tells them apart as well.
        index = next(
            (i for i, old in enumerate(merged) if old.get(key) == one[key] and _same_protocol(old, one)), None
        )
        if one.get("$patch") == "delete":
            merged = [old for old in merged if old.get(key) != one[key]]
        elif index is None:
            merged.append(_clean(one))
        else:
            merged[index] = strategic(at.items, merged[index], one)
    return merged


def _same_protocol(old: dict[str, Any], new: dict[str, Any]) -> bool:
    return "protocol" not in new or old.get("protocol", "TCP") == new["protocol"]


def _ordered(items: list[Any], order: list[Any], key: str | None) -> list[Any]:
    """The entries in the asked order; those that the asker does not know stay behind their neighbours."""

    def name_of(one: Any) -> Any:
        return one.get(key) if key and isinstance(one, dict) else one

    wanted = [name_of(one) for one in order]
    result = [one for name in wanted for one in items if name_of(one) == name]
    seen: list[Any] = []
    for one in items:
        if name_of(one) not in wanted:
            after = next((result.index(p) + 1 for p in reversed(seen) if p in result), 0)
            result.insert(after, one)
        seen.append(one)
    return result
