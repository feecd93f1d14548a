"""`python -m benchmarks [PART ...]`: the project's figures, in one table."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable

from autograder.nbgrading.job import ISOLATED_RUNNER
from benchmarks.bounds import wrong_of_ten_thousand
from benchmarks.clusters import embedded, pods
from benchmarks.grading import against_nbgrader, growing, on_dask
from benchmarks.infrastructure import whole_stack
from benchmarks.lab_verdicts import verdicts
from benchmarks.load_generator import against_others, holding_a_rate, known_behaviour
from benchmarks.real_week import real_week
from benchmarks.sandboxes import step_one
from benchmarks.table import HEAD, Row


def main() -> None:
    """Run the parts that were asked for, all by default."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    parser.add_argument("--lab-runs", type=int, default=5, help="of lab 11-01's load checks, each way")
    parser.add_argument("--size", type=int, default=0, help="submissions of light and heavy, 60 and 30 if 0")
    parser.add_argument("--submissions", type=int, default=1000, help="of the growing batch")
    parser.add_argument("--runner", default=ISOLATED_RUNNER, help="runs notebooks in grading, module:name")
    parser.add_argument("--week", default="week11_serving", help="of the part `week`")
    parser.add_argument("--learners", type=int, default=30, help="of that week")
    parser.add_argument("--live", type=int, default=6, help="of them with their live checks")
    parser.add_argument("parts", nargs="*", help="; all by default")
    asked = parser.parse_args()
    parts: dict[str, Callable[[], Iterable[Row]]] = {
        "sandboxes": lambda: step_one(asked.repetitions),
        "rate": lambda: holding_a_rate(asked.repetitions, asked.seconds),
        "others": lambda: against_others(asked.repetitions, asked.seconds),
        "known": lambda: known_behaviour(asked.repetitions),
        "bounds": wrong_of_ten_thousand,
        "lab": lambda: verdicts(asked.lab_runs),
        "light": lambda: against_nbgrader("light", asked.size, asked.repetitions, asked.runner),
        "heavy": lambda: against_nbgrader("heavy", asked.size, asked.repetitions, asked.runner),
        "growing": lambda: growing(asked.submissions, asked.runner),
        "dask": lambda: on_dask(asked.repetitions, asked.runner),
        "infrastructure": lambda: whole_stack(asked.repetitions),
        "week": lambda: real_week(asked.week, asked.learners, asked.live),
        "clusters": lambda: embedded(asked.repetitions),
        "pods": lambda: pods(asked.repetitions),
    }
    unknown = set(asked.parts) - set(parts)
    if unknown:
        parser.error(f"there is no part {', '.join(sorted(unknown))}; choose from {', '.join(parts)}")
    print(HEAD)
    for name in asked.parts or parts:
        for row in parts[name]():
            print(row, flush=True)
    print(f"\nload average {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores at the end")


if __name__ == "__main__":
    main()
