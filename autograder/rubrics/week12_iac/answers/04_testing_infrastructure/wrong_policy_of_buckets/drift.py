"""Tells what somebody changed in the account by hand from what somebody changed in the files."""


def sort_changes(plan: dict) -> dict[str, list[str]]:
    """Sort what a plan would change by who is behind it.

    Args:
        plan: What `terraform show -json PLAN` says.

    Returns:
        Under `by_hand` the addresses of the resources that were changed or deleted in the account, and
        that applying the plan would set right; under `planned` those that it would change for any other
        reason. Both sorted.
    """
    drift = {each["address"]: each["change"] for each in plan.get("resource_drift", [])}
    by_hand, planned = [], []
    for each in plan.get("resource_changes", []):
        if each["mode"] != "managed" or each["change"]["actions"] == ["no-op"]:
            continue
        drifted = drift.get(each["address"])
        set_right = drifted is not None and (
            drifted["actions"] == ["delete"] or differing(drifted) & differing(each["change"])
        )
        (by_hand if set_right else planned).append(each["address"])
    return {"by_hand": sorted(by_hand), "planned": sorted(planned)}


def differing(change: dict) -> set[str]:
    """The arguments that one change sets to something else; how emptiness is written makes no difference."""
    before, after = change["before"] or {}, change["after"] or {}
    return {name for name in {*before, *after} if full(before.get(name)) != full(after.get(name))}


def full(value):
    """The value without what is empty in it."""
    if isinstance(value, dict):
        return {name: full(each) for name, each in value.items() if full(each)} or None
    if isinstance(value, list):
        return [full(each) for each in value] or None
    return value or None
