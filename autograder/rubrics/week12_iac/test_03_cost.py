"""Lab week12/cost: the same work for less, without a service that somebody else can take away."""

import json

import numpy as np
import pytest

from autograder.rubric import after, credit, needs, points, reading, require
from labkit.clouds import dashboards
from labkit.clouds.costs import groups_cost, prices, target_of
from labkit.errors import WorkFault
from labkit.slo import Day
from labkit.verdicts import Judgement, Tier, Verdict

where_it_went = reading(
    "where_it_went",
    points=4,
    criteria=[
        (1, "names the largest part of the saving from the plot, with its number"),
        (1, "training may be interrupted because it goes on from a checkpoint; what serves alone may not"),
        (
            2,
            "what the model leaves out: work lost to interruptions, start-up, storage, traffic, other prices",
        ),
    ],
)

DAY = Day(peak_rate=800, idle_rate=40)
MACHINE_RATE = 200.0
NIGHT_HOURS = 40.0
SHARE = 0.40
TAGS = ("owner", "environment", "cost_center")
WARNING = "EC2 Spot Instance Interruption Warning"


@pytest.fixture(scope="session")
def groups(plan):
    found = {str(each["name"]): each for each in plan.of("aws_autoscaling_group")}
    if set(found) != {"training", "serving"}:
        raise WorkFault(
            f"The plan has the groups {sorted(found)}.", why="training and serving are asked for."
        )
    return found


@pytest.fixture(scope="session")
def costs(plan, groups):
    return {each.name: each for each in groups_cost(plan, DAY.rates(), MACHINE_RATE)}


BEFORE = 730 * (4 * prices().on_demand["c5.2xlarge"] + 8 * prices().on_demand["c5.xlarge"])
"""What the handed-out before/main.tf costs a month."""


def distribution(group):
    """How a group divides its machines between on demand and spot."""
    policy = (group["mixed_instances_policy"] or [{}])[0]
    return policy, (policy.get("instances_distribution") or [{}])[0]


@needs("cloud")
@points(
    3,
    hints=[
        "Spot machines are the same machines, until somebody pays more: how many kinds may yours be?",
        "mixed_instances_policy with on_demand_base_capacity = 0 and "
        "on_demand_percentage_above_base_capacity = 0.",
        'Three override blocks, of two families, and spot_allocation_strategy = "capacity-optimized".',
    ],
)
def test_spot(groups):
    """trains on spot machines of several kinds"""
    policy, spread = distribution(groups["training"])
    template = (policy.get("launch_template") or [{}])[0]
    kinds = {each["instance_type"] for each in template.get("override") or []}
    steady = (spread.get("on_demand_base_capacity"), spread.get("on_demand_percentage_above_base_capacity"))
    strategy = str(spread.get("spot_allocation_strategy"))
    wanted = {
        "no machine on demand": bool(policy) and not steady[0] and steady[1] == 0,
        "three kinds of machines": len(kinds) >= 3,
        "of two families": len({each.split(".")[0] for each in kinds}) >= 2,
        "each as large as today's (2xlarge)": bool(kinds) and all(k.endswith(".2xlarge") for k in kinds),
        "from the pools with most to spare": strategy.startswith("capacity"),
    }
    _credit(wanted)


@needs("cloud")
@points(
    2,
    hints=[
        "All spot machines of a kind can go within two minutes. What answers then?",
        "on_demand_base_capacity = 2, and min_size not below.",
    ],
)
def test_serving_stays(groups):
    """serves when every spot machine is taken away"""
    group = groups["serving"]
    policy, spread = distribution(group)
    base = (spread.get("on_demand_base_capacity") or 0) if policy else group["min_size"]
    least = min(base, group["min_size"] or 0)
    require(least >= 2, f"{least} machines of serving are on demand whatever happens")


@needs("cloud")
@after("test_serving_stays")
@points(
    2,
    hints=[
        "A policy of the type TargetTrackingScaling needs a metric and the value to keep it at.",
        "At 60 % there is room until the next machine is up; max_size has to let it reach the peak.",
    ],
)
def test_scaling(plan, groups, costs):
    """follows the load, up to the peak"""
    group = groups["serving"]
    target = target_of(group, plan.of("aws_autoscaling_policy"))
    if target is None:
        raise WorkFault("serving has no target-tracking policy: it has the same size all day.")
    peak = DAY.rates().max()
    load = 100 * peak / (costs["serving"].sizes.max() * MACHINE_RATE)
    template = (distribution(group)[0].get("launch_template") or [{}])[0]
    kinds = [each["instance_type"] for each in template.get("override") or []]
    wanted = {
        "each as large as today's (xlarge)": all(kind.endswith(".xlarge") for kind in kinds),
        f"a target from 40 to 75 % (it is {target:.0f})": 40 <= target <= 75,
        f"at most 80 % busy at the peak (it is {load:.0f} %)": load <= 80,
    }
    _credit(wanted)


@needs("cloud")
@points(
    2,
    hints=[
        "When is there something to train? Between 20:00 and 6:00; the machines may sleep by day.",
        'Two aws_autoscaling_schedule, recurrence "0 20 * * *" and "0 6 * * *", and min_size = 0.',
    ],
)
def test_schedule(costs):
    """trains at night, and owns no machine by day"""
    sizes = costs["training"].sizes
    by_day = sizes[7 * 60 : 19 * 60].max()
    night = float(np.concatenate([sizes[: 6 * 60], sizes[20 * 60 :]]).sum()) / 60
    wanted = {
        f"no machine between 7:00 and 19:00 (there are {by_day:.0f})": by_day == 0,
        f"{NIGHT_HOURS:.0f} machine-hours a night (there are {night:.0f})": night >= NIGHT_HOURS,
    }
    _credit(wanted)


@needs("cloud")
@after("test_serving_stays", "test_schedule")
@points(2, hints=["The notebook plots where the money goes.", "What runs at 4 in the morning, and for whom?"])
def test_cheaper(costs):
    """costs at most 40 % of what it does today"""
    usd = sum(each.usd_per_month for each in costs.values())
    requests = float(DAY.rates().sum()) * 60 * 365 / 12
    share = usd / BEFORE
    evidence = (
        f"{usd:,.0f} USD a month, {share:.0%} of {BEFORE:,.0f} (prices of {prices().date}); "
        f"{costs['serving'].usd_per_month / requests * 1e6:.2f} USD a million requests"
    )
    measured = {"usd_per_month": usd, "before_usd_per_month": BEFORE, "share": round(share, 4)}
    verdict = Verdict.PASSED if share <= SHARE else Verdict.FAILED
    require(Judgement(verdict, evidence, Tier.SIMULATED, measured))


@needs("cloud")
@points(
    2,
    hints=[
        "Who pays for it? A tag answers that, if each resource has it.",
        'provider "aws" takes default_tags { tags = {...} }: it reaches what you forget.',
        "Auto-scaling groups want tag blocks of their own, with propagate_at_launch = true.",
    ],
)
def test_tagged(plan, groups):
    """carries its owner, environment and cost center on everything"""
    lacking = []
    for each in plan.resources:
        if each.type == "aws_autoscaling_group":
            carried = {tag["key"] for tag in each["tag"] or [] if tag.get("propagate_at_launch")}
        elif "tags_all" in each.values or "tags" in each.values:
            carried = set(each["tags_all"] or each["tags"] or {})
        else:
            continue
        if not set(TAGS) <= carried:
            lacking.append(each.address)
    total = len([each for each in plan.resources if {"tags", "tags_all", "tag"} & set(each.values)])
    credit(
        total - len(lacking),
        total,
        f"{total - len(lacking)} of {total} carry {', '.join(TAGS)}",
        cause=f"Not: {', '.join(lacking[:4])}.",
    )


@needs("cloud")
@after("test_spot")
@points(
    1,
    hints=[
        "Before a spot machine goes, an event says so. Who hears it?",
        "aws_cloudwatch_event_rule for the detail-type EC2 Spot Instance Interruption Warning, and a target.",
    ],
)
def test_interruption(plan):
    """hears two minutes before a machine is taken away"""
    rules = [each["name"] for each in plan.of("aws_cloudwatch_event_rule") if _warns(each["event_pattern"])]
    heard = [each["rule"] for each in plan.of("aws_cloudwatch_event_target") if each["rule"] in rules]
    require(bool(heard), f"{len(rules)} rules for the warning, {len(heard)} targets")


@needs("cloud")
@points(
    1,
    hints=["What if the model is wrong? A budget tells.", "notification with threshold 80 and an address."],
)
def test_budget(plan, groups):
    """says when the month gets dearer than it should"""
    told = [
        each
        for each in plan.of("aws_budgets_budget")
        if each["time_unit"] == "MONTHLY"
        and float(each["limit_amount"] or 0) <= 1500
        and any(
            0 < note.get("threshold", 0) <= 100
            and (note.get("subscriber_email_addresses") or note.get("subscriber_sns_topic_arns"))
            for note in each["notification"] or []
        )
    ]
    require(bool(told), f"{len(told)} monthly budgets of at most 1500 USD that tell somebody")


@needs("cloud")
@after("test_tagged")
@points(
    1,
    hints=[
        "Does it apply? Is the second plan empty?",
        "A dashboard's body is JSON with a list of widgets.",
        "What is watched stands once, in locals; the widget list and the output grafana_dashboard are both "
        "made from it by jsonencode and for.",
    ],
)
def test_live(stack, plan):
    """applies and stays, with both groups on a dashboard of CloudWatch and one of Grafana"""
    found = stack.second_plan
    differing = [f"{each.address} ({', '.join(each.differing)})" for each in found.changes]
    require(found.empty, "the second plan is empty" if found.empty else f"it would change {differing[0]}")
    cloudwatch = stack.client("cloudwatch")
    names = [each["DashboardName"] for each in cloudwatch.list_dashboards()["DashboardEntries"]]
    bodies = [cloudwatch.get_dashboard(DashboardName=name)["DashboardBody"] for name in names]
    series = _series(panel for body in bodies for panel in dashboards.of_cloudwatch(body))
    shown = {name for name in ("training", "serving") if any(name == each[2] for each in series)}
    require(len(shown) == 2, f"{len(names)} dashboards show {' and '.join(sorted(shown)) or 'neither group'}")
    grafana = plan.outputs.get("grafana_dashboard")
    require(
        isinstance(grafana, str),
        f"grafana_dashboard is {type(grafana).__name__}",
        cause="There is no such output.",
    )
    other = _series(dashboards.of_grafana(grafana))
    require(
        other == series,
        f"Grafana shows {len(other)} series, CloudWatch {len(series)}, {len(other & series)} the same",
    )


def _warns(pattern):
    try:
        return WARNING in json.loads(pattern or "{}").get("detail-type", [])
    except (ValueError, AttributeError):
        return False


def _series(panels):
    return {series for panel in panels for series in panel.series}


def _credit(wanted):
    missing = [name for name, holds in wanted.items() if not holds]
    right = len(wanted) - len(missing)
    credit(right, len(wanted), f"{right} of {len(wanted)} hold", cause=f"Missing: {'; '.join(missing)}.")
