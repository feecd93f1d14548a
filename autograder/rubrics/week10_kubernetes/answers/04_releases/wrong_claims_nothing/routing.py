"""How the router decides: by weight, and for users by a hash."""

import hashlib


def choose(chance, weights):
    """The version at that place of the weights laid end to end."""
    total = 0.0
    for name, weight in weights.items():
        total += weight
        if chance < total:
            return name
    return [name for name, weight in weights.items() if weight > 0][-1]


def assign(user, experiment, split):
    """The hash of experiment and user is as good as a random number, and always the same."""
    digest = hashlib.sha256(f"{experiment}\x00{user}".encode()).digest()
    return choose(int.from_bytes(digest[:6], "big") / 2**48, split)


def exposure(user, experiment, variant):
    """What the analysis needs."""
    return {"user": user, "experiment": experiment, "variant": variant}
