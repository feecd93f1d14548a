"""The machine is shared by ordinary work, and a timed check has it to itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HOLD = """
import sys
from autograder import machine
with getattr(machine, sys.argv[1])():
    print("has it", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    started: list[subprocess.Popen[str]] = []

    def one(kind: str) -> subprocess.Popen[str]:
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", HOLD, kind],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        return started[-1]

    yield one
    for process in started:
        process.kill()
        process.communicate()


def has_it(process: subprocess.Popen[str]) -> bool:
    return process.stdout.readline() == "has it\n"


def give_back(process: subprocess.Popen[str]) -> None:
    process.communicate("\n")


def waits(tmp_path: Path) -> bool:
    """Whether somebody stands at the door: nobody else gets through."""
    code = "import fcntl, sys; fcntl.flock(open(sys.argv[1]), fcntl.LOCK_EX | fcntl.LOCK_NB)"
    door = next(tmp_path.rglob("machine.door"))
    return subprocess.run([sys.executable, "-c", code, door], stderr=subprocess.DEVNULL).returncode != 0


def test_ordinary_work_goes_on_beside_other_work(start):
    assert has_it(start("shared"))
    assert has_it(start("shared"))


def test_a_timed_check_waits_for_the_others_and_they_for_it(start, tmp_path):
    first = start("shared")
    assert has_it(first)
    timed = start("alone")
    while not waits(tmp_path):
        assert timed.poll() is None
    late = start("shared")  # would be let in, were nobody waiting to be alone
    give_back(first)
    assert has_it(timed)
    give_back(timed)
    assert has_it(late)


def test_one_who_is_killed_leaves_it_to_the_others(start):
    killed = start("alone")
    assert has_it(killed)
    killed.kill()
    assert has_it(start("alone"))
