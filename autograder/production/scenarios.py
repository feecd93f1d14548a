"""What a service may live through, as series for promtool: which alerts must fire then, and which must not.

An alert is judged by what it does with these series, never by how its rule is written. Samples come each
second, as in the hour that the judge runs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from autograder.production.contract import (
    ABSENT,
    ALERTS,
    ERRORS,
    IN_FLIGHT,
    LABEL_REQUESTS,
    LABELS_DOWN,
    REQUESTS,
    SECONDS,
    SLOW,
)

PODS = ("digits-blue-1", "digits-blue-2")
_BUCKETS = ("0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "+Inf")


@dataclass(frozen=True)
class Minute:
    """So many seconds of a service's life, of each pod and second.

    Attributes:
        seconds: How long.
        good: Requests answered 200.
        failed: Answered 500.
        refused: Answered 422.
        slow: How many of the good ones took 0.3 s, the others 8 ms.
        unlabelled: How many got no label, because the labels service did not answer.
        up: Whether the pod can be scraped.
    """

    seconds: int
    good: float = 40
    failed: float = 0
    refused: float = 0
    slow: float = 0
    unlabelled: float = 0
    up: bool = True


@dataclass(frozen=True)
class Scenario:
    """A life, and the alerts that must be firing at its end.

    Attributes:
        name: As a learner reads it.
        life: Its parts, one after the other.
        fires: The alerts that must fire at its end.
        silent: Those that must not.
        alone: Whether only the first pod lives it; the other is well.
    """

    name: str
    life: tuple[Minute, ...]
    fires: tuple[str, ...] = ()
    silent: tuple[str, ...] = field(default=())
    alone: bool = False

    def tests(self, alerts: tuple[str, ...]) -> dict[str, Any]:
        """Promtool's test that these alerts fire (or do not) in the scenario's last second."""
        until = sum(minute.seconds for minute in self.life)
        ours = [
            (pod, self.life if number == 0 or not self.alone else _well(until))
            for number, pod in enumerate(PODS)
        ]
        return {
            "interval": "1s",
            "input_series": [
                {"series": name, "values": " ".join(values)}
                for pod, life in ours
                for name, values in _series(pod, life)
            ],
            # Whether any alert of that name fires, whatever its labels are.
            "promql_expr_test": [
                {
                    "expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"}}) > bool 0 or vector(0)',
                    "eval_time": f"{until - 1}s",
                    "exp_samples": [{"labels": "{}", "value": float(alert in self.fires)}],
                }
                for alert in alerts
            ],
        }


HEALTHY = Scenario("all is well", (Minute(90),), silent=ALERTS)
FIRING = (
    Scenario("one answer in twenty fails, for 12 s", (Minute(60), Minute(12, good=38, failed=2)), (ERRORS,)),
    Scenario("every answer fails, for 8 s", (Minute(60), Minute(8, good=0, failed=40)), (ERRORS,)),
    Scenario("one answer in ten takes 0.3 s, for 20 s", (Minute(60), Minute(20, slow=4)), (SLOW,)),
    Scenario("no label any more, for 15 s", (Minute(60), Minute(15, unlabelled=40)), (LABELS_DOWN,)),
    Scenario("no pod can be scraped, for 20 s", (Minute(60), Minute(20, up=False)), (ABSENT,)),
)
SILENT = (
    HEALTHY,
    Scenario(
        "clients send nonsense: half of the answers are 422",
        (Minute(60), Minute(30, good=20, refused=20)),
        (),
        ALERTS,
    ),
    Scenario(
        "one request of 2,400 fails",
        (Minute(30), Minute(1, good=39, failed=1), Minute(6)),
        (),
        ALERTS,
        alone=True,
    ),
    Scenario(
        "a second in which some are slow", (Minute(60), Minute(1, slow=3), Minute(8)), (), ALERTS, alone=True
    ),
    Scenario("a pod is replaced", (Minute(60), Minute(8, up=False)), (), ALERTS, alone=True),
    Scenario("a quiet night: one request in two seconds", (Minute(90, good=0.5),), (), ALERTS),
    Scenario(
        "it was bad, and is well again",
        (Minute(40), Minute(20, good=30, failed=10, slow=20, unlabelled=20), Minute(60)),
        (),
        ALERTS,
    ),
)


def _well(seconds: int) -> tuple[Minute, ...]:
    return (Minute(seconds),)


def _series(pod: str, life: tuple[Minute, ...]) -> list[tuple[str, list[str]]]:
    """Each series of a pod, and its values second by second; `_` where there is no sample."""
    rows: dict[str, list[str]] = {}
    sums: dict[str, float] = {}
    base = f'namespace="default",app="digits",version="blue",pod="{pod}",instance="{pod}:8080",job="pods"'
    for minute in life:
        grown = _grown(minute)
        for _ in range(minute.seconds):
            for name, step in grown.items():
                sums[name] = sums.get(name, 0.0) + step
                rows.setdefault(name, []).append(f"{sums[name]:g}" if minute.up else "_")
            rows.setdefault("up", []).append(str(int(minute.up)))
            rows.setdefault(IN_FLIGHT, []).append("1" if minute.up else "_")
    return [(_named(name, base), values) for name, values in rows.items()]


def _named(name: str, base: str) -> str:
    metric, _, labels = name.partition("|")
    return f"{metric}{{{','.join(filter(None, [base, labels]))}}}"


def _grown(minute: Minute) -> dict[str, float]:
    """How much each counter grows in a second."""
    total = minute.good + minute.failed + minute.refused
    path = 'path="/predict"'
    grown = {
        f'{REQUESTS}|{path},status="200"': minute.good,
        f'{REQUESTS}|{path},status="500"': minute.failed,
        f'{REQUESTS}|{path},status="422"': minute.refused,
        f'{LABEL_REQUESTS}|outcome="ok"': max(minute.good - minute.unlabelled, 0.0),
        f'{LABEL_REQUESTS}|outcome="error"': minute.unlabelled,
        f"{SECONDS}_count|{path}": total,
        f"{SECONDS}_sum|{path}": 0.008 * (total - minute.slow) + 0.3 * minute.slow,
    }
    for bound in _BUCKETS:
        limit = float(bound)
        within = (total - minute.slow) * (limit >= 0.008) + minute.slow * (limit >= 0.3)
        grown[f'{SECONDS}_bucket|{path},le="{bound}"'] = within
    return grown
