"""Experiments whose truth is known, and exact bounds on how often a decision about them was wrong."""

import math

import numpy as np
from scipy import stats

from labkit.errors import WorkFault
from labkit.verdicts import Judgement, Tier, Verdict

LOOKS = 10
DECISIONS = ("wait", "a", "b", "no difference")
SURE = 0.001
"""How seldom a right function may be found wrong."""

DRIVER = '''"""Calls a function for many arguments, so that one message does for thousands of calls."""

import importlib


def many(module, name, rows):
    function = getattr(importlib.import_module(module), name)
    found = []
    for row in rows:
        try:
            found.append({"value": function(*row)})
        except BaseException as error:
            return [{"error": f"{type(error).__name__}: {error}"}] * len(rows)
    return found
'''


def z_test(conversions_a, users_a, conversions_b, users_b):
    """The two-sided p-value with the pooled share: that of the chi-squared test without correction."""
    table = [[conversions_a, users_a - conversions_a], [conversions_b, users_b - conversions_b]]
    if 0 in np.sum(table, axis=0):
        return 1.0
    return float(stats.chi2_contingency(table, correction=False).pvalue)


def users_needed(base, lift, alpha, power):
    """Users of each version, by the usual formula."""
    quantiles = stats.norm.isf([alpha / 2, 1 - power])
    variances = [share * (1 - share) for share in (base, base + lift)]
    return float(quantiles.sum() ** 2 * sum(variances) / lift**2)


class Experiments:
    """Runs many experiments side by side and asks at each look, with no more than was seen until then.

    Args:
        decide: The learner's decisions for rows of arguments.
    """

    def __init__(self, decide):
        self._decide = decide

    def run(self, plan, *, runs, seed, lift=0.0):
        """The decision of each experiment.

        Args:
            plan: What was agreed on: base, lift, alpha, power.
            runs: How many experiments.
            seed: Of the users' behaviour.
            lift: What version b really does; 0 is an A/A experiment.

        Raises:
            WorkFault: A decision is none, or an experiment never ends.
        """
        chance = np.random.default_rng(seed)
        needed = math.ceil(users_needed(plan["base"], plan["lift"], plan["alpha"], plan["power"]) * 1.05)
        users = np.full(LOOKS, needed // LOOKS)
        users[: needed % LOOKS] += 1
        seen = {
            name: np.cumsum(chance.binomial(users, share, size=(runs, LOOKS)), axis=1).tolist()
            for name, share in (("a", plan["base"]), ("b", plan["base"] + lift))
        }
        total = np.cumsum(users).tolist()
        decisions = ["wait"] * runs
        for look in range(LOOKS):
            still = [number for number in range(runs) if decisions[number] == "wait"]
            rows = [
                [
                    [
                        {name: [counts[number][i], total[i]] for name, counts in seen.items()}
                        for i in range(look + 1)
                    ],
                    plan,
                ]
                for number in still
            ]
            for number, decision in zip(still, self._decide(rows) if rows else [], strict=True):
                if decision not in DECISIONS:
                    raise WorkFault(
                        f"decide returned {str(decision)[:60]!r}, none of {', '.join(DECISIONS)}."
                    )
                decisions[number] = decision
        waiting = decisions.count("wait")
        if waiting:
            raise WorkFault(
                f"{waiting} of {runs} experiments never end.",
                why=f"They had {total[-1]:,} users of each version; the plan needs {needed / 1.05:,.0f}.",
            )
        return decisions


def false_alarm_judgement(decisions, alpha):
    """Whether differences were claimed no more often than alpha, where there are none."""
    runs = len(decisions)
    alarms = runs - decisions.count("no difference")
    bound = stats.binomtest(alarms, runs).proportion_ci(0.99, "exact")
    kept = stats.binom.sf(alarms - 1, runs, alpha) >= SURE
    return Judgement(
        Verdict.PASSED if kept else Verdict.FAILED,
        f"{alarms} of {runs:,} claim a difference where there is none: {bound.low:.1%} to {bound.high:.1%} "
        f"(99 %, exact); alpha is {alpha:.0%}",
        Tier.LOCAL,
        {"false_alarms": alarms, "runs": runs, "at_least": float(bound.low), "at_most": float(bound.high)},
    )


def found_judgement(decisions, better, power):
    """Whether the better version was found as often as power says."""
    runs, found = len(decisions), decisions.count(better)
    bound = stats.binomtest(found, runs).proportion_ci(0.99, "exact")
    kept = stats.binom.cdf(found, runs, power) >= SURE
    return Judgement(
        Verdict.PASSED if kept else Verdict.FAILED,
        f"{better} is better, and that is found in {found} of {runs}: {bound.low:.0%} to {bound.high:.0%}; "
        f"power is {power:.0%}",
        Tier.LOCAL,
        {f"found_{better}": found, "runs": runs},
    )
