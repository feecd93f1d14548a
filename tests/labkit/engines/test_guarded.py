"""The engine for what nobody vouches for: what it begins with, and what it never takes over from another."""

from __future__ import annotations

import re

import pytest

from labkit.engines import bases, fenced, guarded
from labkit.errors import Unavailable

STEP = "FROM python:3.11-slim\nRUN python3 -c 'import time; print(time.time_ns())' > /made\n"


@pytest.fixture
def prepared(engine, tmp_path, monkeypatch):
    """A disk with python:3.11-slim and the layers of one build of ours."""
    if why := fenced.lacks():
        pytest.skip(str(why))
    ours = tmp_path / "ours"
    ours.mkdir()
    (ours / "Dockerfile").write_text(STEP)
    monkeypatch.setattr(guarded, "folder", lambda: tmp_path / "disk")
    said = []
    guarded.prepare(["python:3.11-slim"], [guarded.Usual(ours)], key="ours", say=said.append)
    guarded.prepare(["python:3.11-slim"], [guarded.Usual(ours)], key="ours", say=said.append)
    guarded.prepare(["python:3.11-slim"], say=said.append)
    assert len([line for line in said if line.startswith("Preparing")]) == 1
    assert guarded.prepared()["python:3.11-slim"] == bases.VERSION
    return ours


def test_it_begins_with_our_own_layers_and_with_nobody_elses(prepared, tmp_path):
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "Dockerfile").write_text(
        "FROM python:3.11-slim\n"
        "RUN --mount=type=cache,target=/shared echo once >> /shared/log; echo $(wc -l < /shared/log) visits\n"
    )
    cached, visits = [], []
    for _ in range(2):
        with guarded.GuardedEngine() as engine:
            cached.append([step.cached for step in engine.build(prepared).steps])
            visits += re.findall(r"(\d+) visits$", engine.build(theirs).log, re.MULTILINE)
            assert engine.about().name.startswith("guarded Docker Engine")
        assert engine.fenced.leftovers() == []
    assert cached == [[True], [True]]
    assert visits == ["1", "1"]


def test_without_a_prepared_disk_it_says_what_makes_one(tmp_path, monkeypatch):
    if why := fenced.lacks():
        pytest.skip(str(why))
    monkeypatch.setattr(guarded, "folder", lambda: tmp_path)
    with guarded.GuardedEngine() as engine, pytest.raises(Unavailable, match="`workbook grade` prepares one"):
        engine.up()
    with pytest.raises(Unavailable, match="no engine for grading was prepared"):
        guarded.require()
