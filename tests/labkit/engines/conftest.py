"""One engine for all tests that need one, with a small base image, and a place for contexts."""

from __future__ import annotations

from pathlib import Path

import pytest

from labkit.engines import bases
from labkit.engines.embedded import EmbeddedEngine
from labkit.errors import Unavailable


@pytest.fixture(scope="session")
def engine():
    """The embedded engine, with python:3.11-slim."""
    engine = EmbeddedEngine()
    try:
        engine.up()
        bases.provide(engine, "python:3.11-slim")
    except Unavailable as lacking:
        pytest.skip(str(lacking))
    return engine


@pytest.fixture
def context(tmp_path):
    """Writes a Dockerfile, and other files beside it, into a folder; gives the folder."""

    def write(dockerfile: str, **files: str) -> Path:
        folder = tmp_path / "context"
        folder.mkdir(exist_ok=True)
        (folder / "Dockerfile").write_text(dockerfile)
        for name, text in files.items():
            (folder / name).write_text(text)
        return folder

    return write
