"""How often lab 11-01's load checks judge a server rightly, on a free machine and beside a busy one."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from autograder.answers import answers_of
from autograder.checking import run_checks
from autograder.loading import load_rubric
from benchmarks.table import Row
from labkit.course import find_course
from labkit.processes import die_with_parent

RIGHT = {"reference": "passed", "wrong_seed": "failed"}
CHECKS = ("latency", "overload")


def verdicts(runs: int) -> Iterator[Row]:
    """Judge the reference and the seed's server that often, in turn, without and with a busy core."""
    for busy in (0, 1):
        found: dict[tuple[str, str], Counter[str]] = {}
        with busy_loops(busy):
            for _ in range(runs):
                for name in RIGHT:
                    for check, verdict in judged(name).items():
                        found.setdefault((name, check), Counter())[verdict] += 1
        beside = "beside a busy loop" if busy else "on a free machine"
        for (name, check), counts in found.items():
            right = RIGHT[name]
            for verdict, count in counts.items():
                allowed = "inconclusive allowed" if busy else f"all {right}"
                yield Row(f"11-01 {name}, {check}, {beside}: {verdict}", [float(count)], "runs", allowed)


def judged(name: str) -> dict[str, str]:
    """The verdicts of the load checks on one answer."""
    lab = find_course().lab("week11/fastapi_server")
    answer = next(each for each in answers_of(load_rubric(lab)) if each.name == name)
    with tempfile.TemporaryDirectory() as scratch:
        work = answer.lay(Path(scratch) / lab.assignment)
        report = run_checks(lab, work, parts=CHECKS)
    return {each.check: each.verdict.value for each in report.outcomes if each.check in CHECKS}


@contextmanager
def busy_loops(count: int) -> Iterator[None]:
    """Programs that do nothing but keep a core each busy."""
    command = [sys.executable, "-c", "while True: pass"]
    loops = [subprocess.Popen(command, preexec_fn=die_with_parent) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
