"""Tells what somebody changed in the account by hand from what somebody changed in the files."""

import json


def sort_changes(plan: dict) -> dict[str, list[str]]:
    """Sort what a plan would change by who is behind it.

    Args:
        plan: What `terraform show -json PLAN` says.

    Returns:
        Under `by_hand` the addresses of the resources that were changed or deleted in the account, and
        that applying the plan would set right; under `planned` those that it would change for any other
        reason. Both sorted.
    """
    hands, files = set(), set()
    drifted = {each["address"]: set_to_something_else(each) for each in plan.get("resource_drift") or []}
    for each in plan.get("resource_changes") or []:
        address, actions = each["address"], set(each["change"]["actions"])
        if each["mode"] == "managed" and actions - {"no-op", "read"}:
            set_right = drifted.get(address, set()) & set_to_something_else(each)
            (hands if set_right else files).add(address)
    return {"by_hand": sorted(hands), "planned": sorted(files)}


def set_to_something_else(each: dict) -> set[str]:
    """Names of the arguments whose values differ; what is not there has none."""
    before, after = (each["change"].get(side) or {} for side in ("before", "after"))
    return {name for name in before.keys() | after.keys() if said(before.get(name)) != said(after.get(name))}


def said(value: object) -> str:
    """A value as text, in which nothing, no words, no entries and no list are the same."""
    text = json.dumps(value, sort_keys=True)
    return text.replace("{}", "null").replace("[]", "null").replace('""', "null")
