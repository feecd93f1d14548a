"""Every serving framework under the same load, in rounds: `python -m benchmarks.serving`.

A round takes each framework once, so that what the machine does meanwhile meets all of them alike. What was
measured is added to `build/benchmarks/serving.jsonl`; `--report` writes `docs/serving-comparison.md` of it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from autograder.answers import answers_of
from autograder.loading import load_rubric
from benchmarks import serving_report
from labkit.course import find_course
from labkit.errors import WorkbookError
from labkit.models.store import models_folder, prepare
from labkit.serving import Deployment, Endpoint, ScriptServer, backend, server_for
from labkit.serving.framework import memory_of
from labkit.serving.protocols import DIALECTS, Dialect
from labkit.serving.workload import BATCH, SINGLE, Workload, within

RESULTS = Path("build") / "benchmarks" / "serving.jsonl"
OBJECTIVE_MS = 100.0
COMMON_RATE = 100
LADDER = (100, 200, 300, 400, 600, 800, 1100, 1500, 2000, 2700, 3600)
"""Single requests a second; the highest of them within the objective is reported."""
BATCH_ROWS = 32


@dataclass(frozen=True)
class Candidate:
    """What is measured.

    Attributes:
        name: Of its row.
        deployment: How it is deployed; None for a script of lab 11-01.
        script: The answer of lab 11-01 that it is.
    """

    name: str
    deployment: Deployment | None = None
    script: str = ""


def candidates() -> dict[str, Candidate]:
    """All rows, by name: each protocol of each framework, and with batching where there is some."""
    wanted = [
        *(("fastapi", "json"), ("granian", "json"), ("grpc", "grpc"), ("grpc-aio", "grpc")),
        *(("torchserve", "torchserve"), ("torchserve", "torchserve-grpc"), ("triton", "v2")),
        *(("triton", "grpc"), ("kserve", "v1"), ("kserve", "v2"), ("kserve", "grpc")),
        *(("mlserver", "v2"), ("mlserver", "grpc"), ("seldon", "seldon"), ("bentoml", "bentoml")),
        ("ray", "json"),
    ]
    found = [
        Candidate(f"{name} {protocol}", Deployment(framework=name, protocol=protocol))
        for name, protocol in wanted
    ]
    for name, protocol in (("fastapi", "json"), ("grpc-aio", "grpc"), ("triton", "grpc")):
        batching = Deployment(framework=name, protocol=protocol, batch_size=32, batch_delay_ms=1)
        found.append(Candidate(f"{name} {protocol} batching", batching))
    found += [
        Candidate("lab 11-01 reference", script="reference"),
        Candidate("seed's server", script="wrong_seed"),
    ]
    return {each.name: each for each in found}


def main() -> None:
    """Measure what was asked for, or write the report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each step of the ladder")
    parser.add_argument("--most-seconds", type=float, default=float("inf"), help="stop after so many")
    parser.add_argument("--report", action="store_true", help="only write the report")
    parser.add_argument("names", nargs="*", help=f"rows: {', '.join(candidates())}; all by default")
    asked = parser.parse_args()
    if not asked.report:
        unknown = set(asked.names) - set(candidates())
        if unknown:
            parser.error(f"there is no row {', '.join(sorted(unknown))}")
        measure_rounds(asked.names or list(candidates()), asked.rounds, asked.seconds, asked.most_seconds)
    serving_report.write(RESULTS)


def measure_rounds(names: list[str], rounds: int, seconds: float, most_seconds: float) -> None:
    """Take each row once a round; rows that were measured least often come first."""
    prepare(models_folder() / "digits")
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    for _ in range(rounds):
        counts = serving_report.counts(RESULTS)
        for name in sorted(names, key=lambda each: counts.get(each, 0)):
            if time.monotonic() - began > most_seconds:
                return
            result = {"name": name, **measured(candidates()[name], seconds, seed=counts.get(name, 0))}
            with RESULTS.open("a") as file:
                file.write(json.dumps(result) + "\n")
            print(serving_report.line(result), file=sys.stderr, flush=True)


def measured(candidate: Candidate, seconds: float, seed: int) -> dict[str, Any]:
    """One row of one round, or why there is none."""
    try:
        with started(candidate) as (endpoint, dialect):
            climbed = climb(endpoint, dialect, seconds, seed)
            return {
                "start_seconds": endpoint.start_seconds,
                "memory_bytes": endpoint.memory_bytes,
                **climbed,
            }
    except WorkbookError as error:
        return {"why_not": str(error)}


def climb(endpoint: Endpoint, dialect: Dialect, seconds: float, seed: int) -> dict[str, Any]:
    """Step up the ladder until a step misses the objective twice."""
    with np.load(models_folder() / "digits" / "reference.npz", allow_pickle=False) as reference:
        rows, answers = reference["images"][:100].astype(np.float32), reference["scores"][:100]
    workload = Workload(rows=rows, answers=answers, batch_rows=BATCH_ROWS)
    found: dict[str, Any] = {"highest_rate": 0}
    for rate in LADDER:
        for attempt in range(2):
            recording = workload.send(
                endpoint, dialect, rate=rate, seconds=seconds, warmup=0.5, seed=seed * 100 + attempt
            )
            singles = recording.only(SINGLE)
            if rate == COMMON_RATE and "p99_ms" not in found:
                found["p50_ms"] = plain(singles.quantile_ms(0.5))
                found["p99_ms"] = plain(singles.quantile_ms(0.99))
                found["batch_p50_ms"] = plain(recording.only(BATCH).quantile_ms(0.5))
            if within(recording, OBJECTIVE_MS):
                found["highest_rate"] = rate
                break
        else:
            found["then_ms"] = plain(singles.quantile_ms(0.99))
            found["lag_ms"] = plain(recording.lag_quantile_ms())
            break
    return found


@contextmanager
def started(candidate: Candidate) -> Iterator[tuple[Endpoint, Dialect]]:
    """The row's server, started."""
    if candidate.deployment is not None:
        backend(candidate.deployment.framework).make_ready()
        with server_for(candidate.deployment) as server:
            yield server.start(models_folder() / "digits"), server.dialect
        return
    lab = find_course().lab("week11/fastapi_server")
    answer = next(each for each in answers_of(load_rubric(lab)) if each.name == candidate.script)
    with tempfile.TemporaryDirectory() as scratch, ScriptServer() as script:
        answer.lay(Path(scratch))
        folder = Path(scratch) / lab.name
        for name in ("model.py", "model.safetensors", "model.pt"):
            (folder / name).write_bytes((models_folder() / "digits" / name).read_bytes())
        endpoint = script.start(folder)
        assert script.process is not None
        yield (
            Endpoint(**{**vars(endpoint), "memory_bytes": memory_of(script.process)}),
            DIALECTS["json"],
        )


def plain(value: float) -> float | None:
    """A number that JSON has."""
    return float(value) if np.isfinite(value) else None


if __name__ == "__main__":
    main()
