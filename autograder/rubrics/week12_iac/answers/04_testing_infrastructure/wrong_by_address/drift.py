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
    drifted = {each["address"] for each in plan.get("resource_drift", [])}
    changed = {
        each["address"] for each in plan.get("resource_changes", []) if each["change"]["actions"] != ["no-op"]
    }
    return {"by_hand": sorted(changed & drifted), "planned": sorted(changed - drifted)}
