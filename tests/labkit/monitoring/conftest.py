from __future__ import annotations

import shutil

import pytest

from labkit import debian
from labkit.errors import Unavailable


@pytest.fixture(scope="session")
def programs():
    """Prometheus' programs, or no test."""
    if shutil.which("promtool") is None:
        try:
            debian.ensure("monitoring")
        except Unavailable as lacking:
            pytest.skip(str(lacking))
