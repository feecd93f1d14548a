"""The checks of planner.py: its plans are held against the best that there are."""

from autograder.rubric import after, measured_on, needs, points, require
from autograder.rubrics.project2_multicloud_platform.settings import MARGIN, PLAN_SECONDS
from labkit.isolation.functions import LearnerFunction
from labkit.platform.offers import cases, optimum, outcome
from labkit.verdicts import Judgement, Tier, Verdict


def kept(case, chosen):
    """What a chosen plan comes to; None if it is none, or breaks the job's terms."""
    try:
        offer = next(
            each
            for each in case.offers
            if all(each[name] == chosen[name] for name in ("cloud", "region", "instance"))
        )
        on_demand, spot = chosen["on_demand"], chosen["spot"]
    except (KeyError, TypeError, StopIteration):
        return None
    if type(on_demand) is not int or type(spot) is not int:
        return None
    return outcome(case.job, offer, on_demand, spot)


@needs("server")
@points(
    5,
    hints=[
        "outcome() says what a plan comes to, and None if it breaks the terms. Ask it.",
        "Go through the offers and, for each, through numbers of machines on demand and on spot.",
        "Where nothing keeps to the terms, None is the answer.",
    ],
)
def test_plans_in_time(planned):
    """keeps each deadline and the share on demand, and says when it can't be done"""
    tried, chosen, _ = planned
    sound = sum(
        (plan is None) if optimum(case) is None else kept(case, plan) is not None
        for case, plan in zip(tried, chosen, strict=True)
    )
    require(sound == len(tried), f"{sound} of {len(tried)} plans keep to their job's terms")


@needs("server")
@after("test_plans_in_time")
@points(
    7,
    hints=[
        "Which offers are cheap per unit of work, and which per hour? What does bringing the data cost?",
        "More machines end sooner, but each is paid for while it starts.",
        "For each number on demand, the best number on spot is at an end, or where the cost turns.",
    ],
)
def test_plans_for_least(planned):
    """costs at most 5 % more than the best plan that there is"""
    tried, chosen, seconds = planned
    ratios = [
        kept(case, plan).usd / best.usd
        for case, plan in zip(tried, chosen, strict=True)
        if (best := optimum(case)) is not None
    ]
    near = sum(ratio <= 1 + MARGIN for ratio in ratios)
    summary = (
        f"{near} of {len(ratios)} within {MARGIN:.0%} of the best (the worst {max(ratios) - 1:.1%} above); "
        f"{seconds:.1f} s for all"
    )
    measured = {"worst": round(max(ratios) - 1, 5), "seconds": round(seconds, 3)}
    measured_on(Tier.SIMULATED)
    require(
        Judgement(Verdict.PASSED if near == len(ratios) else Verdict.FAILED, summary, measured=measured),
        cause="Compare a case that is far off with what brute force finds.",
    )


@needs("server")
@after("test_plans_in_time")
@points(
    3,
    hints=[
        "On some days spot costs more than on demand. What does your plan look at?",
        "A cheaper region is no bargain if the data has to be brought there.",
    ],
)
def test_follows_prices(work, logs):
    """moves to another market, region or cloud when prices do"""
    case = next(case for case in cases(40, seed=77) if (best := optimum(case)) is not None and best.spot > 0)
    moved = [("as it was", case)]
    best = optimum(case)
    assert best is not None
    for name, change in (
        ("spot dearer than on demand", {"spot": best.offer["on_demand"] * 1.3}),
        ("machines taken away every half hour", {"interruptions": 2.0}),
        ("its region sold out", {"most": 1}),
        ("bringing the data there made dear", {"usd_per_gb": 5.0}),
    ):
        offers = [
            {**offer, **change} if offer["region"] == best.offer["region"] else offer for offer in case.offers
        ]
        moved.append((name, type(case)({**case.job, "data_gb": 100.0}, offers)))
    followed, missed = 0, []
    with LearnerFunction("planner:plan", work, log=logs / "planner.log", seconds=PLAN_SECONDS) as plan:
        for name, changed in moved:
            found, wanted = kept(changed, plan(changed.job, changed.offers)), optimum(changed)
            good = found is not None and wanted is not None and found.usd <= wanted.usd * (1 + MARGIN)
            followed += good
            missed += [] if good else [name]
    require(followed == len(moved), f"follows {followed} of {len(moved)} moves", cause="; ".join(missed))
