"""Chooses where to train: cloud, region, machines, and how many of them on spot, in time and for least.

A job:   {"work": 120.0,              machine-hours at speed 1
          "deadline": 8.0,            hours
          "data_gb": 200.0,           what has to be brought to the machines, if they are elsewhere
          "checkpoint_hours": 0.25,   a spot machine that is taken away loses half of this, on average,
          "restart_hours": 0.1,       and this long until another one goes on
          "start_hours": 0.1,         paid for each machine before it begins
          "least_on_demand": 0.2}     share of the speed that must not be on spot

An offer: {"cloud": "aws", "region": "us-east-1", "instance": "c5.2xlarge",
           "speed": 8.0,              of one machine
           "on_demand": 0.34,         USD an hour
           "spot": 0.15,              USD an hour; None where there is none
           "interruptions": 0.05,     of one spot machine, an hour
           "most": 24,                machines of both kinds together
           "usd_per_gb": 0.02}        to bring the data there; 0 where it lies
"""

import math


def outcome(job, offer, on_demand, spot):
    """What so many machines of an offer need and cost: (hours, USD); None if they break the job's terms.

    As it was handed out.
    """
    if on_demand < 0 or spot < 0 or not 0 < on_demand + spot <= offer["most"]:
        return None
    if spot and offer["spot"] is None:
        return None
    lost = offer["interruptions"] * (job["restart_hours"] + job["checkpoint_hours"] / 2)
    steady = on_demand * offer["speed"]
    speed = steady + spot * offer["speed"] * max(0.0, 1.0 - lost)
    if speed <= 0 or steady < job["least_on_demand"] * speed - 1e-9:
        return None
    hours = job["start_hours"] + job["work"] / speed
    if hours > job["deadline"] + 1e-9:
        return None
    price = on_demand * offer["on_demand"] + spot * (offer["spot"] or 0.0)
    return hours, hours * price + job["data_gb"] * offer["usd_per_gb"]


def plan(job, offers):
    """The cheapest machines of one offer that keep to the job's terms; None if there are none.

    For each number of machines on demand, few numbers of spot machines can be the best: see `_candidates`.
    """
    best = None
    for offer in offers:
        for on_demand in range(offer["most"] + 1):
            for spot in _candidates(job, offer, on_demand):
                found = outcome(job, offer, on_demand, spot)
                if found is not None and (best is None or found[1] < best[0]):
                    best = (found[1], offer, on_demand, spot)
    if best is None:
        return None
    _, offer, on_demand, spot = best
    return {
        "cloud": offer["cloud"],
        "region": offer["region"],
        "instance": offer["instance"],
        "on_demand": on_demand,
        "spot": spot,
    }


def _candidates(job, offer, on_demand):
    """The numbers of spot machines, beside so many on demand, of which one is the best.

    With S and P the speed and price on demand, v and p those of a spot machine, s of them cost
    (start + W / (S + s v)) (P + s p). That falls, then rises, or only rises: its least lies at the fewest
    that are in time, at the most that the terms allow, or where (S + s v)^2 = W (v P - p S) / (start p).
    """
    room = offer["most"] - on_demand
    lost = offer["interruptions"] * (job["restart_hours"] + job["checkpoint_hours"] / 2)
    v, p = offer["speed"] * max(0.0, 1.0 - lost), offer["spot"]
    time = job["deadline"] - job["start_hours"]
    if p is None or v <= 0 or time <= 0:
        return {0}
    S, P, W = on_demand * offer["speed"], on_demand * offer["on_demand"], job["work"]  # noqa: N806
    wanted = [0.0, (W / time - S) / v, float(room)]
    if job["least_on_demand"] > 0:
        wanted.append(S * (1 / job["least_on_demand"] - 1) / v)
    if job["start_hours"] > 0 and p > 0 and v * P > p * S:
        wanted.append((math.sqrt(W * (v * P - p * S) / (job["start_hours"] * p)) - S) / v)
    around = {n for x in wanted for n in (math.floor(x + 1e-9), math.ceil(x - 1e-9))}
    return {n for n in around if 0 <= n <= room}
