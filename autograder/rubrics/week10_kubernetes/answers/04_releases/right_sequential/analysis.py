"""A group-sequential test: ten planned looks, early ones with so strict a bound that alpha holds in all."""

import math
from statistics import NormalDist

LOOKS = 10
NORMAL = NormalDist()
FINAL_Z = {0.05: 2.087, 0.01: 2.65}
"""O'Brien and Fleming's bound at the last of ten looks."""


def p_value(conversions_a, users_a, conversions_b, users_b):
    """The two-sided z-test with the pooled share."""
    return 2 * (1 - NORMAL.cdf(abs(z_of(conversions_a, users_a, conversions_b, users_b))))


def z_of(conversions_a, users_a, conversions_b, users_b):
    """The difference in standard errors, above 0 if b is better."""
    pooled = (conversions_a + conversions_b) / (users_a + users_b)
    error = math.sqrt(pooled * (1 - pooled) * (1 / users_a + 1 / users_b))
    return (conversions_b / users_b - conversions_a / users_a) / error if error else 0.0


def sample_size(base, lift, alpha, power):
    """With the pooled variance under the hypothesis of no difference."""
    other, middle = base + lift, base + lift / 2
    apart = base * (1 - base) + other * (1 - other)
    together = 2 * middle * (1 - middle)
    root = NORMAL.inv_cdf(1 - alpha / 2) * math.sqrt(together) + NORMAL.inv_cdf(power) * math.sqrt(apart)
    return math.ceil((root / lift) ** 2)


def decide(looks, plan):
    """Stop at a tenth of the users or any later one, if the difference is above that look's bound."""
    needed = sample_size(plan["base"], plan["lift"], plan["alpha"], plan["power"])
    users = min(looks[-1]["a"][1], looks[-1]["b"][1])
    part = min(1.0, users / needed)
    z = z_of(*looks[-1]["a"], *looks[-1]["b"])
    if part >= 1 / LOOKS and abs(z) > FINAL_Z[plan["alpha"]] / math.sqrt(part):
        return "b" if z > 0 else "a"
    return "no difference" if part >= 1.0 else "wait"
