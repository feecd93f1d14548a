"""Jobs and offers for a planner: the dated price table, moved at random; the best plan by trying all.

What machines cost on demand, and on spot in AWS, is the table's. How far prices have moved since, the prices
of a second AWS region, those of GCP's spot machines (which the table lacks), and how often machines are taken
away are drawn: a scenario, not anybody's offer.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np

from labkit.clouds.costs import prices

SPEEDS = {
    "m5.large": 2.0,
    "m5.xlarge": 4.0,
    "m5.2xlarge": 8.0,
    "c5.large": 2.2,
    "c5.xlarge": 4.4,
    "c5.2xlarge": 8.8,
    "e2-standard-2": 1.5,
    "e2-standard-4": 3.0,
    "e2-standard-8": 6.0,
    "n2-standard-4": 4.2,
    "n2-standard-8": 8.4,
    "c2-standard-4": 4.8,
    "c2-standard-8": 9.6,
}
"""Work that a machine does in an hour: assumed from its virtual CPUs, some kinds a little faster."""

REGIONS = (("aws", "us-east-1"), ("aws", "us-west-2"), ("gcp", "us-east1"))
LONG, SHORT = 24, 8


@dataclass(frozen=True)
class Case:
    """A job, as planner.py describes it, and what is offered for it."""

    job: dict[str, Any]
    offers: list[dict[str, Any]]


@dataclass(frozen=True)
class Optimum:
    """The best plan of a case.

    Attributes:
        usd: What it costs.
        hours: How long it takes.
        offer: Which offer.
        on_demand: Machines on demand.
        spot: Machines on spot.
    """

    usd: float
    hours: float
    offer: Mapping[str, Any]
    on_demand: int
    spot: int


def cases(count: int, seed: int = 10) -> Iterator[Case]:
    """So many cases that can be done in time, the same for a seed, and one that can't after every tenth."""
    generator = np.random.default_rng(seed)
    made = 0
    while made < count:
        home = REGIONS[generator.integers(len(REGIONS))]
        case = Case(_job(generator), offers(home, generator))
        if optimum(case) is None:
            continue
        made += 1
        yield case
        if made % 10 == 0:
            hours = case.job["start_hours"] + case.job["work"] / 1000
            yield Case({**case.job, "deadline": round(hours, 3)}, case.offers)


def _job(generator: np.random.Generator) -> dict[str, Any]:
    return {
        "work": round(float(generator.uniform(60, 900)), 1),
        "deadline": round(float(generator.uniform(1.5, 12)), 2),
        "data_gb": round(float(generator.choice([0, 20, 200, 800]) * generator.uniform(0.5, 1.5)), 1),
        "checkpoint_hours": float(generator.choice([0.1, 0.25, 0.5, 1.0])),
        "restart_hours": float(generator.choice([0.05, 0.1, 0.3])),
        "start_hours": float(generator.choice([0.05, 0.1, 0.25])),
        "least_on_demand": float(generator.choice([0.0, 0.1, 0.25, 0.5])),
    }


def offers(home: tuple[str, str], generator: np.random.Generator) -> list[dict[str, Any]]:
    """What the regions offer today to somebody whose data lies at `home`."""
    transfer = tomllib.loads((resources.files("labkit.clouds") / "prices.toml").read_text())["transfer"]
    tables = {"aws": prices("aws-us-east-1"), "gcp": prices("gcp-us-east1")}
    found = []
    for cloud, region in REGIONS:
        moved = float(generator.lognormal(0, 0.15))
        same = cloud == home[0]
        usd_per_gb = 0.0 if (cloud, region) == home else transfer["regions" if same else "out"][home[0]]
        for instance, on_demand in tables[cloud].on_demand.items():
            if instance not in SPEEDS:
                continue
            share = tables[cloud].spot.get(instance, 0.4 * on_demand) / on_demand
            spot = share * float(generator.lognormal(0, 0.45))
            found.append(
                {
                    "cloud": cloud,
                    "region": region,
                    "instance": instance,
                    "speed": SPEEDS[instance],
                    "on_demand": round(on_demand * moved, 5),
                    "spot": round(on_demand * moved * spot, 5) if generator.random() < 0.9 else None,
                    "interruptions": round(float(generator.choice([0.01, 0.05, 0.2, 0.8])), 3),
                    "most": int(generator.integers(SHORT, LONG + 1)),
                    "usd_per_gb": usd_per_gb,
                }
            )
    return found


def optimum(case: Case) -> Optimum | None:
    """The best plan, by brute force over every offer and every number of machines; None if there is none."""
    job = case.job
    best: Optimum | None = None
    for offer in case.offers:
        on_demand, spot = np.meshgrid(
            np.arange(offer["most"] + 1), np.arange(offer["most"] + 1), indexing="ij"
        )
        lost = offer["interruptions"] * (job["restart_hours"] + job["checkpoint_hours"] / 2)
        steady = on_demand * offer["speed"]
        speed = steady + spot * offer["speed"] * max(0.0, 1.0 - lost)
        allowed = (on_demand + spot > 0) & (on_demand + spot <= offer["most"]) & (speed > 0)
        allowed &= steady >= job["least_on_demand"] * speed - 1e-9
        if offer["spot"] is None:
            allowed &= spot == 0
        hours = job["start_hours"] + job["work"] / np.where(speed > 0, speed, 1.0)
        allowed &= hours <= job["deadline"] + 1e-9
        price = on_demand * offer["on_demand"] + spot * (offer["spot"] or 0.0)
        usd = np.where(allowed, hours * price + job["data_gb"] * offer["usd_per_gb"], np.inf)
        row, column = np.unravel_index(int(usd.argmin()), usd.shape)
        if np.isfinite(usd[row, column]) and (best is None or usd[row, column] < best.usd):
            best = Optimum(float(usd[row, column]), float(hours[row, column]), offer, int(row), int(column))
    return best


def outcome(job: Mapping[str, Any], offer: Mapping[str, Any], on_demand: int, spot: int) -> Optimum | None:
    """What a plan needs and costs; None if it does not keep to the job's terms."""
    lost = offer["interruptions"] * (job["restart_hours"] + job["checkpoint_hours"] / 2)
    if on_demand < 0 or spot < 0 or not 0 < on_demand + spot <= offer["most"]:
        return None
    if spot and offer["spot"] is None:
        return None
    steady = on_demand * offer["speed"]
    speed = steady + spot * offer["speed"] * max(0.0, 1.0 - lost)
    if speed <= 0 or steady < job["least_on_demand"] * speed - 1e-9:
        return None
    hours = job["start_hours"] + job["work"] / speed
    if hours > job["deadline"] + 1e-9:
        return None
    price = on_demand * offer["on_demand"] + spot * (offer["spot"] or 0.0)
    return Optimum(hours * price + job["data_gb"] * offer["usd_per_gb"], hours, offer, on_demand, spot)
