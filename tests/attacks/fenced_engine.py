"""A fenced engine for attacks: made with one image, as good in the end as in the beginning, and then gone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from labkit.engines import bases, disks, fenced, places
from labkit.engines.fenced import FencedDaemon
from labkit.engines.guarded import FencedEngine
from labkit.errors import Unavailable
from labkit.isolation.limits import Limits

IMAGE = "python:3.11-slim"


@contextmanager
def fenced_engine(name: str, limits: Limits) -> Iterator[FencedEngine]:
    """Start an engine behind a fence that holds `IMAGE`; where it can't run the test is skipped.

    Args:
        name: What its folder below /var/tmp is called.
        limits: What all that it runs may use together, and how big its disk is.
    """
    tree = places.cache("bases") / f"python-3.11-slim-{bases.VERSION}.tar"
    if not tree.is_file():
        pytest.skip(f"{IMAGE} was not made here")
    if why := fenced.lacks():
        pytest.skip(str(why))
    daemon = FencedDaemon.beside(Path("/var/tmp") / name, limits)
    with FencedEngine(daemon) as engine:
        disks.make(daemon.disk, limits.disk_bytes)
        try:
            engine.up()
        except Unavailable as lacking:
            pytest.skip(str(lacking))
        engine.load_root(tree, f"docker.io/library/{IMAGE}", bases.changes(bases.RECIPES[IMAGE]))
        yield engine
        pid = daemon._process().pid
    assert daemon.leftovers() == []
    assert not psutil.pid_exists(pid)
