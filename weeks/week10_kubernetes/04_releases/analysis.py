"""Did version b do better than version a? Numbers in, a decision out; scipy and numpy are there."""


def p_value(conversions_a, users_a, conversions_b, users_b):
    """How surprising the difference would be if there were none.

    The two-sided z-test of two proportions with the pooled share, without a continuity correction.
    """
    raise NotImplementedError("p_value is yours to write")


def sample_size(base, lift, alpha, power):
    """Users that each version needs.

    Args:
        base: The share that converts now, 0.10.
        lift: The absolute difference that matters, 0.02.
        alpha: How often a difference may be claimed where there is none.
        power: How often one of that size must be found.
    """
    raise NotImplementedError("sample_size is yours to write")


def decide(looks, plan):
    """What to do now. It is called every time somebody looks at the running experiment.

    Args:
        looks: What was seen at each look until now, the latest last: a list of
            `{"a": [conversions, users], "b": [conversions, users]}`, counted from the start.
        plan: What was agreed on before: a dict with `base`, `lift`, `alpha` and `power`.

    Returns:
        "wait", "a" (a is better), "b" (b is better) or "no difference". All but "wait" end the experiment.
    """
    raise NotImplementedError("decide is yours to write")
