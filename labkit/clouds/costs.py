"""What the auto-scaling groups of a plan cost in a month: its machines, hour by hour, at dated prices.

A schedule sets a size by the clock; a target-tracking policy has a group follow a load. Both are worked out
minute by minute over one day, which stands for every day of the month: a model, not a bill.
"""

from __future__ import annotations

import datetime
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labkit.errors import WorkFault
from labkit.terraform.plan import Plan, Resource

MINUTES = 24 * 60
DAYS = 365 / 12
_DAILY = re.compile(r"(\d{1,2}) (\d{1,2}) \* \* \*")


@dataclass(frozen=True)
class Prices:
    """A price table, US dollars an hour.

    Attributes:
        date: Of what day.
        source: From where, in words.
        on_demand: By machine.
        spot: By machine, on that day.
    """

    date: datetime.date
    source: str
    on_demand: Mapping[str, float]
    spot: Mapping[str, float]


@dataclass(frozen=True)
class GroupCost:
    """What a group costs.

    Attributes:
        name: Of the group.
        sizes: Machines in each minute of the day; shape `(1440,)`.
        usd_per_month: For all of them.
    """

    name: str
    sizes: NDArray[np.float64]
    usd_per_month: float


@cache
def prices(table: str = "aws-us-east-1") -> Prices:
    """The prices of a region."""
    found = _tables()[table]
    return Prices(found["date"], found["source"], found["on_demand"], found["spot"])


def usd_per_gigabyte_out(cloud: str) -> float:
    """What bringing a gigabyte out of a cloud costs, in its first tier.

    Args:
        cloud: `aws` or `gcp`.
    """
    return float(_tables()["transfer"]["out"][cloud])


def _tables() -> dict[str, Any]:
    return tomllib.loads((resources.files("labkit.clouds") / "prices.toml").read_text())


def groups_cost(
    plan: Plan, rates: NDArray[np.float64], machine_rate: float, *, scaled: str = "serving"
) -> list[GroupCost]:
    """Price every auto-scaling group of a plan.

    Args:
        plan: The plan.
        rates: Requests per second in each minute of a day; shape `(1440,)`.
        machine_rate: Requests per second that keep one machine fully busy.
        scaled: The group that serves these requests.

    Raises:
        WorkFault: A machine has no price, or a schedule is not a daily one.
    """
    policies = plan.of("aws_autoscaling_policy")
    costs = []
    for group in plan.of("aws_autoscaling_group"):
        sizes = _sizes(group, plan.of("aws_autoscaling_schedule"))
        if group["name"] == scaled and (target := target_of(group, policies)):
            needed = np.ceil(rates / (machine_rate * target / 100))
            sizes = np.clip(needed, group["min_size"] or 0, group["max_size"] or 0)
        costs.append(GroupCost(str(group["name"]), sizes, _usd(plan, group, sizes)))
    return costs


def target_of(group: Resource, policies: Sequence[Resource]) -> float | None:
    """The utilisation in percent that a group's policy keeps; None if it has no such policy."""
    for policy in policies:
        tracking = policy["target_tracking_configuration"] or []
        if policy["autoscaling_group_name"] == group["name"] and tracking:
            return float(tracking[0]["target_value"])
    return None


def _sizes(group: Resource, schedules: Sequence[Resource]) -> NDArray[np.float64]:
    """A group's size in each minute, by its own number and its schedules."""
    start = group["desired_capacity"] if group["desired_capacity"] is not None else group["min_size"]
    sizes = np.full(MINUTES, float(start or 0))
    actions = []
    for each in schedules:
        if each["autoscaling_group_name"] == group["name"]:
            found = _DAILY.fullmatch(str(each["recurrence"] or ""))
            if not found:
                raise WorkFault(f"The schedule {each['scheduled_action_name']} is not a daily one.")
            actions.append((int(found[2]) * 60 + int(found[1]), float(each["desired_capacity"] or 0)))
    for minute, size in sorted(actions):
        sizes[minute:] = size
    if actions:
        first, last = min(actions)[0], max(actions)[1]
        sizes[:first] = last  # the day before went the same way
    return sizes


def _usd(plan: Plan, group: Resource, sizes: NDArray[np.float64]) -> float:
    table = prices()
    policy = (group["mixed_instances_policy"] or [{}])[0]
    if not policy:
        name = _template(plan, group["launch_template"])
        return float(sizes.sum()) / 60 * DAYS * _price(table.on_demand, name)
    spread = (policy.get("instances_distribution") or [{}])[0]
    template = (policy.get("launch_template") or [{}])[0]
    names = [each["instance_type"] for each in template.get("override") or []]
    names = names or [_template(plan, template.get("launch_template_specification"))]
    base = spread.get("on_demand_base_capacity") or 0
    share = spread.get("on_demand_percentage_above_base_capacity")
    share = 1.0 if share is None else share / 100
    steady = np.minimum(sizes, base) + np.maximum(sizes - base, 0) * share
    # On demand the first of the list is taken; which spot pool has machines nobody knows: the mean of all.
    spot = float(np.mean([_price(table.spot, name) for name in names]))
    hours = float(steady.sum()) / 60, float((sizes - steady).sum()) / 60
    return DAYS * (hours[0] * _price(table.on_demand, names[0]) + hours[1] * spot)


def _template(plan: Plan, used: Any) -> str:
    """The machine of the launch template that a group uses, by the only one of the plan or by name."""
    templates = plan.of("aws_launch_template")
    wanted = (used or [{}])[0].get("name")
    for each in templates:
        if each["name"] == wanted or (wanted is None and len(templates) == 1):
            return str(each["instance_type"])
    raise WorkFault(
        "A group names no launch template by its name.", next_step="name = aws_launch_template.X.name"
    )


def _price(table: Mapping[str, float], name: str) -> float:
    if name not in table:
        known = ", ".join(sorted(table))
        raise WorkFault(f"There is no price of {name} in the table.", next_step=f"There are: {known}.")
    return table[name]
