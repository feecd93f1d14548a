"""Grading held against stock nbgrader and otter-grader on the same submissions; how it grows; Dask."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import psutil

from autograder.loading import RUBRICS_VARIABLE
from autograder.nbgrading import Settings, Status, grade, release
from autograder.nbgrading.grading import Done
from autograder.nbgrading.job import ISOLATED_RUNNER
from benchmarks.grading_course import (
    ASSIGNMENT,
    CELLS,
    LAB,
    TESTS,
    Bench,
    hand_in,
    lay_bench,
    marks_of,
    notebook,
    otter_test,
)
from benchmarks.table import Row
from labkit.environments import ensure

SIZES = {"light": 60, "heavy": 30}
_ALONE = 3
"""Submissions that otter-grader is given one by one: it takes no batch without Docker."""


def against_nbgrader(kind: str, size: int, repetitions: int, runner: str = ISOLATED_RUNNER) -> Iterator[Row]:
    """Submissions a minute, ours and stock nbgrader's in turn on the same work, and the ratio."""
    name = "sandboxed" if runner == ISOLATED_RUNNER else runner.rpartition(":")[2]
    size = size or SIZES[kind]
    ours, stock, otter = [], [], []
    with bench_of(kind, size) as bench:
        for _ in range(repetitions):
            stock.append(60 * size / stock_seconds(bench))
            ours.append(60 * size / our_seconds(bench, size, runner))
            otter.append(60 / otter_seconds(bench))
    what = f"{kind} ({CELLS[kind]} cells), {size} submissions"
    yield Row(f"{what}: workbook grade --jobs 2 ({name})", ours, "/min")
    yield Row(f"{what}: nbgrader autograde", stock, "/min")
    yield Row(f"{kind}, one by one: otter run", otter, "/min")
    yield Row(f"{kind}: ours over otter's", [a / b for a, b in zip(ours, otter, strict=True)], "")
    ratios = [a / b for a, b in zip(ours, stock, strict=True)]
    yield Row(f"{kind}: ours over nbgrader's", ratios, "", ">= 10")


def growing(submissions: int, runner: str = ISOLATED_RUNNER) -> Iterator[Row]:
    """Does the time grow as the number does, and does the grader's own memory stay where it is?"""
    times: list[float] = []
    memory: list[int] = []
    workers: list[int] = []
    process = psutil.Process()

    def note(event: object) -> None:
        if isinstance(event, Done):
            times.append(time.monotonic())
            if len(times) % 20 == 0:
                memory.append(process.memory_info().rss)
                workers.append(max((one.memory_info().rss for one in process.children()), default=0))

    with bench_of("light", submissions) as bench:
        started = time.monotonic()
        grade(ASSIGNMENT, course=bench.course, settings=Settings(runner=runner), jobs=2, on_event=note)
        seconds = time.monotonic() - started
    quarter = submissions // 4
    first, last = times[quarter] - times[0], times[-1] - times[-1 - quarter]
    what = f"{submissions:,} light submissions"
    yield Row(f"{what}: minutes", [seconds / 60], "min")
    yield Row(f"{what}: last quarter's time over the first's", [last / first], "", "0.9 to 1.1")
    yield Row(f"{what}: the grader's memory", [max(memory) / 1e6], "MB", "< 1000")
    yield Row(f"{what}: ... grown from first to last quarter", [_grown(memory) / 1e6], "MB", "flat")
    yield Row(f"{what}: a worker's memory", [max(workers) / 1e6], "MB")


def on_dask(repetitions: int, runner: str = ISOLATED_RUNNER, size: int = 24) -> Iterator[Row]:
    """Two Dask workers of one core each against one."""
    taken: dict[int, list[float]] = {1: [], 2: []}
    with bench_of("heavy", size) as bench:
        for _ in range(repetitions):
            for workers, seconds in taken.items():
                with dask_cluster(workers) as address:
                    our_seconds(bench, 2, runner, address)  # the workers have loaded what they need
                    seconds.append(our_seconds(bench, size, runner, address))
    for workers, seconds in taken.items():
        rates = [60 * size / each for each in seconds]
        yield Row(f"heavy, {size} submissions, {workers} Dask worker(s)", rates, "/min")
    ratios = [one / two for one, two in zip(taken[1], taken[2], strict=True)]
    yield Row("two Dask workers over one", ratios, "", ">= 1.8")


# ---- one run of each -------------------------------------------------------------------------------------


@contextmanager
def bench_of(kind: str, size: int) -> Iterator[Bench]:
    """The course with so many submissions, released both ways, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="workbook-bench-") as folder:
        bench = lay_bench(Path(folder), kind)
        before = os.environ.get(RUBRICS_VARIABLE)
        os.environ[RUBRICS_VARIABLE] = str(bench.rubrics)
        try:
            release(ASSIGNMENT, course=bench.course)
            nbgrader(bench, "generate_assignment")
            hand_in(bench, size)
            yield bench
        finally:
            os.environ.pop(RUBRICS_VARIABLE)
            if before is not None:
                os.environ[RUBRICS_VARIABLE] = before


def nbgrader(bench: Bench, command: str) -> None:
    """Run stock nbgrader's own command."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    subprocess.run(
        [sys.executable, "-m", "nbgrader", command, ASSIGNMENT, "--course", "bench", "--force"],
        cwd=bench.stock,
        env={**os.environ, "PATH": path},
        check=True,
        capture_output=True,
    )


def stock_seconds(bench: Bench) -> float:
    """How long stock nbgrader takes for all, each time from nothing."""
    shutil.rmtree(bench.stock / "autograded", ignore_errors=True)
    started = time.monotonic()
    nbgrader(bench, "autograde")
    return time.monotonic() - started


def our_seconds(bench: Bench, size: int, runner: str, scheduler: str = "") -> float:
    """How long ours takes for the first so many, each time from nothing."""
    learners = [f"learner-{number:04}" for number in range(size)]
    settings = Settings(runner=runner)
    started = time.monotonic()
    summary = grade(
        ASSIGNMENT,
        learners,
        course=bench.course,
        settings=settings,
        jobs=2,
        scheduler=scheduler,
        again=True,
    )
    seconds = time.monotonic() - started
    maximum = len(TESTS[bench.kind])
    wrong = [r.learner for r in summary.records if r.status is not Status.GRADED or r.points != maximum]
    if wrong or summary.own_errors:
        raise RuntimeError(f"not graded as it should be: {wrong}, {summary.own_errors}")
    return seconds


def otter_seconds(bench: Bench) -> float:
    """How long otter-grader takes for one submission."""
    otter = ensure("otter").path / "bin" / "otter"
    place = bench.stock / "otter"
    if not (place / "autograder.zip").exists():
        (place / "tests").mkdir(parents=True)
        for name, test in TESTS[bench.kind].items():
            (place / "tests" / f"{name}.py").write_text(otter_test(name, test))
        handed_in = notebook(bench.kind, tests=False, solved=True)
        handed_in.cells = [
            cell for cell in handed_in.cells if not marks_of(cell).get("grade") and cell.id != "record"
        ]  # otter runs elsewhere: the cell that writes a file has no place there
        handed_in.cells[0].source = handed_in.cells[0].source.replace("from autograder import check", "")
        nbformat.write(handed_in, place / f"{LAB}.ipynb")
        subprocess.run(
            [otter, "generate", "-t", "tests", "-o", "autograder.zip", "--no-environment"],
            cwd=place,
            check=True,
            capture_output=True,
        )
    started = time.monotonic()
    for _ in range(_ALONE):
        subprocess.run(
            [otter, "run", "-a", "autograder.zip", f"{LAB}.ipynb"], cwd=place, check=True, capture_output=True
        )
    return (time.monotonic() - started) / _ALONE


@contextmanager
def dask_cluster(workers: int) -> Iterator[str]:
    """A cluster on loopback; yields its scheduler's address."""
    command = [sys.executable, "-m", "autograder.nbgrading.cluster", "--port", "0", "--workers", str(workers)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def _grown(memory: list[int]) -> int:
    """How much more it was in the last quarter than in the first, both at their most."""
    quarter = max(1, len(memory) // 4)
    return max(memory[-quarter:]) - max(memory[:quarter])
