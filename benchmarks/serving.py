"""Every serving framework under the same load, in rounds: `python -m benchmarks.serving`.

A round takes each framework once, so that what the machine does meanwhile meets all of them alike. What was
measured is added to `build/benchmarks/serving.jsonl`; `--report` writes `docs/serving-comparison.md` of it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import serving_report
from benchmarks.serving_rounds import LOADS, MIXED, SENTENCES, Load, counts
from benchmarks.serving_rows import Candidate, Served, candidates, sentence_candidates, started
from labkit.errors import WorkbookError
from labkit.load import Recording
from labkit.models.store import models_folder, prepare
from labkit.serving import Endpoint
from labkit.serving.workload import BATCH, SINGLE, Workload, within

RESULTS = Path("build") / "benchmarks" / "serving.jsonl"
OBJECTIVE_MS = 100.0


def main() -> None:
    """Measure what was asked for, or write the report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each step of the ladder")
    parser.add_argument("--most-seconds", type=float, default=float("inf"), help="stop after so many")
    parser.add_argument("--load", choices=LOADS, default=MIXED.name, help="what comes beside single images")
    parser.add_argument("--report", action="store_true", help="only write the report")
    parser.add_argument("names", nargs="*", help=f"rows: {', '.join(candidates())}; all by default")
    asked = parser.parse_args()
    if not asked.report:
        load = LOADS[asked.load]
        rows = sentence_candidates() if load is SENTENCES else candidates()
        if unknown := set(asked.names) - set(rows):
            parser.error(f"under this load there is no row {', '.join(sorted(unknown))}")
        wanted = {name: rows[name] for name in asked.names or rows}
        measure_rounds(wanted, load, asked.rounds, asked.seconds, asked.most_seconds)
    serving_report.write(RESULTS)


def measure_rounds(
    rows: dict[str, Candidate], load: Load, rounds: int, seconds: float, most_seconds: float
) -> None:
    """Take each row once a round; rows that were measured least often come first."""
    prepare(models_folder() / "digits")
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    for _ in range(rounds):
        so_far = counts(RESULTS, load)
        for name in sorted(rows, key=lambda each: so_far[each]):
            if time.monotonic() - began > most_seconds:
                return
            found = measured(rows[name], load, seconds, seed=so_far[name])
            result = {"name": name, "load": load.name, **found}
            with RESULTS.open("a") as file:
                file.write(json.dumps(result) + "\n")
            print(serving_report.line(result), file=sys.stderr, flush=True)


def measured(candidate: Candidate, load: Load, seconds: float, seed: int) -> dict[str, Any]:
    """One row of one round, or why there is none."""
    try:
        with started(candidate) as (endpoint, served):
            climbed = climb(endpoint, served, load, seconds, seed)
            return {
                "start_seconds": endpoint.start_seconds,
                "memory_bytes": endpoint.memory_bytes,
                **climbed,
            }
    except WorkbookError as error:
        return {"why_not": str(error)}


def climb(endpoint: Endpoint, served: Served, load: Load, seconds: float, seed: int) -> dict[str, Any]:
    """The highest step of the ladder that keeps the objective; a step that misses is tried once more.

    Every second step first, then the one between the last that kept it and the first that did not.
    """
    model = served.model
    workload = Workload(
        rows=model.rows,
        answers=model.answers,
        batch_rows=load.rows,
        batches_per_second=load.per_second,
        tolerance=model.tolerance,
    )
    ladder = load.ladder
    found: dict[str, Any] = {"seconds": seconds, "highest_rate": 0}

    def keeps(rate: int) -> bool:
        for attempt in range(2):
            recording = workload.send(
                endpoint,
                served.dialect,
                rate=rate,
                seconds=seconds,
                signature=model.signature,
                warmup=0.5,
                seed=seed * 100 + attempt,
            )
            if rate == ladder[0] and not attempt:
                found.update(at_common_rate(recording))
            if within(recording, OBJECTIVE_MS):
                found["highest_rate"] = max(rate, found["highest_rate"])
                return True
        found["then_ms"] = plain(recording.only(SINGLE).quantile_ms(0.99))
        found["lag_ms"] = plain(recording.lag_quantile_ms())
        return False

    for step in range(0, len(ladder), 2):
        if not keeps(ladder[step]):
            if step and ladder[step - 2] == found["highest_rate"]:
                keeps(ladder[step - 1])
            break
    return found


def at_common_rate(recording: Recording) -> dict[str, float | None]:
    """The latencies that every row has."""
    singles, batches = recording.only(SINGLE), recording.only(BATCH)
    return {
        "p50_ms": plain(singles.quantile_ms(0.5)),
        "p99_ms": plain(singles.quantile_ms(0.99)),
        "batch_p50_ms": plain(batches.quantile_ms(0.5)),
        "bystanders": plain(recording.bystanders),
    }


def plain(value: float) -> float | None:
    """A number that JSON has."""
    return float(value) if np.isfinite(value) else None


if __name__ == "__main__":
    main()
