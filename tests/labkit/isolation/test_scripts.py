"""A learner's script, run to its end: what it made comes back, and what it did instead is said."""

from __future__ import annotations

import re
import sys

import pytest

from labkit import edge
from labkit.environments import Environment
from labkit.errors import Unavailable, WorkFault
from labkit.isolation import scripts
from labkit.isolation.guard import Unguarded
from labkit.isolation.scripts import run_script


@pytest.fixture
def run(tmp_path):
    """Runs a script that says this, in a folder of its own; gives what was copied."""

    def run(text, makes=("made.txt",), *, seconds=20.0, name="make.py"):
        folder = tmp_path / "work"
        folder.mkdir(exist_ok=True)
        (folder / "make.py").write_text(text)
        return run_script(
            name,
            folder,
            makes=list(makes),
            into=tmp_path / "into",
            log=tmp_path / "log",
            seconds=seconds,
            python=sys.executable,
            guard=Unguarded(),
        )

    return run


def test_what_it_made_comes_back_in_order(run, tmp_path):
    text = "import os\nfor name in 'ab':\n    open(name, 'w').write(name + os.environ['OMP_NUM_THREADS'])\n"
    copies = run(text, ["b", "a"])
    assert copies == [tmp_path / "into" / "b", tmp_path / "into" / "a"]
    assert [copy.read_text() for copy in copies] == ["b1", "a1"]


def test_what_was_there_before_does_not_count(run, tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "made.txt").write_text("yesterday's")
    with pytest.raises(WorkFault, match=r"make\.py made no made\.txt"):
        run("pass\n")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("raise ValueError('no such layer')", r"exit code 1\. Its last line: ValueError: no such layer\."),
        ("import time\ntime.sleep(60)", "had not ended after 1 s"),
        ("import os\nos.symlink('/etc/passwd', 'made.txt')", r"made no made\.txt"),
        ("import os\nos.mkfifo('made.txt')", r"made no made\.txt"),
    ],
)
def test_what_it_did_instead_is_said(run, text, says):
    with pytest.raises(WorkFault) as fault:
        run(text, seconds=1.0 if "sleep" in text else 20.0)
    assert re.search(says, str(fault.value)), str(fault.value)


def test_a_file_that_is_too_big_is_not_taken(run, monkeypatch):
    monkeypatch.setattr(scripts, "FILE_BYTES", 1000)
    with pytest.raises(WorkFault, match=r"made no made\.txt"):
        run("open('made.txt', 'w').write('x' * 1001)")


def test_a_script_that_is_not_there_is_named(run):
    with pytest.raises(WorkFault, match=r"There is no other\.py in work"):
        run("pass", name="other.py")


def test_without_its_environment_edge_says_what_to_run(tmp_path, monkeypatch):
    monkeypatch.setattr(edge, "Environment", lambda name: Environment(name, tmp_path))
    assert edge.lacks() == "it is not there yet"
    with pytest.raises(Unavailable, match="LiteRT") as lacking:
        edge.run("convert.py", tmp_path, makes=[], into=tmp_path, log=tmp_path / "log")
    assert "make edge" in lacking.value.next_step
