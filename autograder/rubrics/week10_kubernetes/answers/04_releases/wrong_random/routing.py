"""How the router decides: by weight, and for users by a hash."""

import random


def choose(chance, weights):
    """The version at that place of the weights laid end to end."""
    total = 0.0
    for name, weight in weights.items():
        total += weight
        if chance < total:
            return name
    return [name for name, weight in weights.items() if weight > 0][-1]


def assign(user, experiment, split):
    """A fair draw."""
    return choose(random.random(), split)


def exposure(user, experiment, variant):
    """What the analysis needs."""
    return {"user": user, "experiment": experiment, "variant": variant}
