"""What a plan's groups cost, worked out by hand for plans of a few lines."""

import numpy as np
import pytest

from labkit.clouds.costs import MINUTES, groups_cost, prices
from labkit.errors import WorkFault
from labkit.terraform import Plan

HOURS = 365 / 12 * 24


def plan(*resources):
    return Plan(
        {
            "planned_values": {
                "root_module": {
                    "resources": [
                        {
                            "mode": "managed",
                            "address": f"{kind}.x",
                            "type": kind,
                            "name": "x",
                            "values": values,
                        }
                        for kind, values in resources
                    ]
                }
            }
        }
    )


def group(name="training", **more):
    return "aws_autoscaling_group", {
        "name": name,
        "min_size": 2,
        "max_size": 4,
        "desired_capacity": 2,
        "launch_template": [{"name": "t"}],
        **more,
    }


TEMPLATE = ("aws_launch_template", {"name": "t", "instance_type": "c5.xlarge"})
IDLE = np.zeros(MINUTES)


def cost(*resources, rates=IDLE):
    return groups_cost(plan(TEMPLATE, *resources), rates, 100.0)[0]


def test_a_group_that_stays_costs_its_machines_all_month():
    assert cost(group()).usd_per_month == pytest.approx(2 * HOURS * prices().on_demand["c5.xlarge"])


def test_a_schedule_sets_the_size_and_the_day_before_went_the_same_way():
    schedule = {"autoscaling_group_name": "training", "scheduled_action_name": "s"}
    found = cost(
        group(),
        ("aws_autoscaling_schedule", {**schedule, "recurrence": "0 20 * * *", "desired_capacity": 4}),
        ("aws_autoscaling_schedule", {**schedule, "recurrence": "30 6 * * *", "desired_capacity": 0}),
    )
    assert (found.sizes[0], found.sizes[389], found.sizes[390], found.sizes[1199], found.sizes[1200]) == (
        4, 4, 0, 0, 4,
    )  # fmt: skip


def test_a_schedule_that_is_not_daily_is_refused():
    schedule = {"autoscaling_group_name": "training", "scheduled_action_name": "weekend"}
    with pytest.raises(WorkFault, match="weekend is not a daily one"):
        cost(group(), ("aws_autoscaling_schedule", {**schedule, "recurrence": "0 20 * * 6"}))


def test_a_policy_follows_the_load_between_least_and_most():
    policy = {"autoscaling_group_name": "serving", "target_tracking_configuration": [{"target_value": 50}]}
    rates = np.full(MINUTES, 10.0)
    rates[600:660] = 149.0
    rates[700:720] = 900.0
    found = cost(group("serving"), ("aws_autoscaling_policy", policy), rates=rates)
    assert (found.sizes[0], found.sizes[600], found.sizes[700]) == (2, 3, 4)


def test_spot_is_the_mean_of_its_kinds_above_what_is_on_demand():
    mixed = {
        "instances_distribution": [
            {"on_demand_base_capacity": 1, "on_demand_percentage_above_base_capacity": 0}
        ],
        "launch_template": [{"override": [{"instance_type": "c5.xlarge"}, {"instance_type": "m5.xlarge"}]}],
    }
    table = prices()
    spot = (table.spot["c5.xlarge"] + table.spot["m5.xlarge"]) / 2
    found = cost(group(launch_template=[], mixed_instances_policy=[mixed]))
    assert found.usd_per_month == pytest.approx(HOURS * (table.on_demand["c5.xlarge"] + spot))


def test_a_machine_without_a_price_is_named():
    with pytest.raises(WorkFault, match=r"no price of x1\.32xlarge"):
        groups_cost(
            plan(("aws_launch_template", {"name": "t", "instance_type": "x1.32xlarge"}), group()), IDLE, 1.0
        )
