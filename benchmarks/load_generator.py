"""The load generator held against nginx, hey, MLPerf's generator, and servers of known behaviour."""

from __future__ import annotations

from benchmarks.programs import delay_server, hey, mlperf, nginx
from benchmarks.table import Row
from labkit.load import HttpClient, Recording, Schedule, run
from labkit.slo import Objective, judge

COMPARED_RATE = 1000.0


def load(url: str, rate: float, seconds: float, seed: int) -> Recording:
    """A second of warm-up, then Poisson arrivals."""
    return run(Schedule.poisson(rate, seconds=seconds, seed=seed), HttpClient(url))


def holding_a_rate(repetitions: int, seconds: float, rate: float = 8000.0) -> list[Row]:
    """Does the generator, which is one thread, hold the rate against nginx, which is another?"""
    with nginx() as url:
        runs = [load(url, rate, seconds, seed) for seed in range(repetitions)]
    asked = f"{rate:,.0f} requests/s against nginx"
    return [
        Row(f"{asked}: send lag p99", [each.lag_quantile_ms() for each in runs], "ms", "< 1 ms"),
        Row(f"{asked}: achieved rate", [each.achieved_rate for each in runs], "/s", f"{rate:,.0f}"),
        Row(f"{asked}: latency p99", [each.quantile_ms(0.99) for each in runs], "ms"),
        Row(f"{asked}: errors", [float(each.misses) for each in runs], "", "0"),
    ]


def against_others(repetitions: int, seconds: float) -> list[Row]:
    """The same server at the same rate, in turn with hey and with MLPerf's Server scenario."""
    ratios: dict[str, list[float]] = {}
    with delay_server("spread") as url:
        for seed in range(repetitions):
            recording = load(url, COMPARED_RATE, seconds, seed)
            ours = recording.quantile_ms(0.5), recording.quantile_ms(0.99)
            others = {
                "hey": hey(url, rate=COMPARED_RATE, seconds=seconds + 1),
                "MLPerf Server": mlperf(url, rate=COMPARED_RATE, seconds=seconds),
            }
            for name, theirs in others.items():
                for quantile, one, other in zip(("p50", "p99"), ours, theirs, strict=True):
                    ratios.setdefault(f"{quantile} as a part of {name}'s", []).append(one / other)
    at = f"at {COMPARED_RATE:,.0f} requests/s, median 10 ms"
    return [Row(f"{name}, {at}", values, "", "0.9 to 1.1") for name, values in ratios.items()]


def known_behaviour(repetitions: int) -> list[Row]:
    """Verdicts on servers whose share of late answers is known."""
    rows = []
    for behaviour, seconds, right in (
        ("late:0.001", 30.0, "passed"),
        ("late:0.03", 30.0, "failed"),
        ("stall", 60.0, "failed"),
    ):
        found: dict[str, int] = {}
        with delay_server(behaviour) as url:
            for seed in range(repetitions):
                verdict = judge(load(url, 200.0, seconds, seed), Objective(milliseconds=100)).verdict.value
                found[verdict] = found.get(verdict, 0) + 1
            if behaviour == "stall":
                closed = [hey(url, rate=0, seconds=seconds / 2, workers=1)[1] for _ in range(repetitions)]
                rows.append(Row("stall: p99 as a closed-loop client sees it", closed, "ms", "< 100 ms"))
        for verdict, count in found.items():
            target = f"all {right}"
            rows.append(Row(f"{behaviour}: {verdict} p99 < 100 ms", [float(count)], "runs", target))
    return rows
