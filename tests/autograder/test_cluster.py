"""The same units on a Dask cluster: its workers get data, and what was found comes back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from batch import ROOT, lay_batch, lines_of
from tiny_course import ASSIGNMENT, FILES, use_rubrics

from autograder.nbgrading import grade
from autograder.nbgrading.grading import Step
from autograder.nbgrading.settings import Folders
from labkit.course import Course
from labkit.errors import WorkbookError


@pytest.fixture(scope="module")
def cluster() -> Iterator[psutil.Popen]:
    process = psutil.Popen(
        [sys.executable, "-m", "autograder.nbgrading.cluster", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd="/",
    )
    process.address = process.stdout.readline().strip()
    yield process
    family = process.children(recursive=True)
    process.send_signal(signal.SIGTERM)
    process.wait(30)
    process.stdout.close()
    _, alive = psutil.wait_procs(family, timeout=20)
    assert alive == []


@pytest.fixture
def course(tmp_path: Path) -> Course:
    return lay_batch(tmp_path, 4, live=True)


def test_a_cluster_grades_as_this_machine_does(cluster: psutil.Popen, course: Course) -> None:
    (Folders.of(course).submitted("learner-003", ASSIGNMENT) / "link").symlink_to("/etc/passwd")
    worker = []

    def kill_one(event: object) -> None:
        if isinstance(event, Step) and not worker:
            worker.extend(
                p for p in cluster.children(recursive=True) if "nbgrading.worker" in str(p.cmdline())
            )
            worker[0].kill()

    with use_rubrics(course):
        summary = grade(ASSIGNMENT, course=course, scheduler=cluster.address, on_event=kill_one)
    assert summary.own_errors == []
    assert worker
    assert lines_of(course) == {f"learner-00{number}": float(number) for number in range(4)}
    assert summary.records[3].remarks == ["link was left out: it is a link."]
    outcomes = summary.records[3].labs[0].report.outcomes
    assert [outcome.check for outcome in outcomes] == ["lines", "order", "measured", "secret"]
    shown = Folders.of(course).autograded("learner-003", ASSIGNMENT) / f"{FILES}.ipynb"
    assert "3 of 4 lines are right" in shown.read_text()


def test_a_cluster_with_another_version_is_refused(
    cluster: psutil.Popen, course: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autograder.nbgrading.cluster.code_hash", lambda: "another")
    with use_rubrics(course), pytest.raises(WorkbookError, match="another version of the workbook"):
        grade(ASSIGNMENT, course=course, scheduler=cluster.address)


def test_listens_on_loopback_alone(cluster: psutil.Popen) -> None:
    for process in (cluster, *cluster.children(recursive=True)):
        for connection in process.net_connections():
            if connection.status == psutil.CONN_LISTEN:
                assert connection.laddr.ip == "127.0.0.1"


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense://there"])
def test_no_cluster_is_said(course: Course, address: str) -> None:
    with use_rubrics(course), pytest.raises(WorkbookError, match="no Dask scheduler at") as raised:
        grade(ASSIGNMENT, course=course, scheduler=address)
    assert "make scheduler" in raised.value.next_step
