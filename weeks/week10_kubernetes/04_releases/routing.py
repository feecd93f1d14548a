"""How the router decides. Both of its replicas run this, with the standard library alone."""


def choose(chance, weights):
    """The version that takes a request, by weight: a canary gets a small part of all requests.

    Args:
        chance: A random number, at least 0 and below 1.
        weights: The part of each version, `{"blue": 0.95, "green": 0.05}`; they add up to 1.

    Returns:
        A name out of `weights`.
    """
    raise NotImplementedError("choose is yours to write")


def assign(user, experiment, split):
    """The version of a user in an experiment.

    The same user gets the same one at each request, from every replica, today and next week. Another
    experiment puts users together anew. When the split of the last version grows, nobody leaves it.

    Args:
        user: Who asks.
        experiment: The experiment's name.
        split: The part of each version, in order, `{"blue": 0.5, "green": 0.5}`; they add up to 1.

    Returns:
        A name out of `split`.
    """
    raise NotImplementedError("assign is yours to write")


def exposure(user, experiment, variant):
    """What is logged when a user was served: a dict with `user`, `experiment` and `variant`."""
    raise NotImplementedError("exposure is yours to write")
