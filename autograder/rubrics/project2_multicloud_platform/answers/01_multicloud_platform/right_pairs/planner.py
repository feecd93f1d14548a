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

import numpy as np


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
    """Every number of machines of every offer at once, as arrays."""
    best, least = None, np.inf
    for offer in offers:
        most = offer["most"] + 1
        on_demand, spot = np.mgrid[0:most, 0:most]
        lost = offer["interruptions"] * (job["restart_hours"] + job["checkpoint_hours"] / 2)
        steady = on_demand * offer["speed"]
        speed = steady + spot * offer["speed"] * max(0.0, 1 - lost)
        with np.errstate(divide="ignore", invalid="ignore"):
            hours = job["start_hours"] + job["work"] / speed
            usd = hours * (on_demand * offer["on_demand"] + spot * (offer["spot"] or 0.0))
            usd += job["data_gb"] * offer["usd_per_gb"]
        fits = (speed > 0) & (on_demand + spot < most) & (hours <= job["deadline"])
        fits &= steady >= job["least_on_demand"] * speed - 1e-9
        if offer["spot"] is None:
            fits &= spot == 0
        usd = np.where(fits, usd, np.inf)
        if usd.min() < least:
            least = usd.min()
            here = divmod(int(usd.argmin()), most)
            best = {name: offer[name] for name in ("cloud", "region", "instance")}
            best |= {"on_demand": here[0], "spot": here[1]}
    return best
