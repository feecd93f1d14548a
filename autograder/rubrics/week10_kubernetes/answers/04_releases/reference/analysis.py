"""A fixed-horizon test: the number of users is agreed on first, and the data are judged once."""

import math
from statistics import NormalDist

NORMAL = NormalDist()


def p_value(conversions_a, users_a, conversions_b, users_b):
    """The two-sided z-test with the pooled share."""
    if not users_a or not users_b:
        return 1.0
    pooled = (conversions_a + conversions_b) / (users_a + users_b)
    error = math.sqrt(pooled * (1 - pooled) * (1 / users_a + 1 / users_b))
    if error == 0:
        return 1.0
    z = (conversions_b / users_b - conversions_a / users_a) / error
    return 2 * (1 - NORMAL.cdf(abs(z)))


def sample_size(base, lift, alpha, power):
    """The usual formula for two proportions."""
    other = base + lift
    variance = base * (1 - base) + other * (1 - other)
    z = NORMAL.inv_cdf(1 - alpha / 2) + NORMAL.inv_cdf(power)
    return math.ceil(z**2 * variance / lift**2)


def decide(looks, plan):
    """Wait for the planned number of users, then look once."""
    (conversions_a, users_a), (conversions_b, users_b) = looks[-1]["a"], looks[-1]["b"]
    needed = sample_size(plan["base"], plan["lift"], plan["alpha"], plan["power"])
    if min(users_a, users_b) < needed:
        return "wait"
    if p_value(conversions_a, users_a, conversions_b, users_b) > plan["alpha"]:
        return "no difference"
    return "b" if conversions_b / users_b > conversions_a / users_a else "a"
