"""What all tests share: an engine that the tests started is stopped when they have ended."""

from __future__ import annotations

import pytest

from labkit.engines.daemon import Daemon


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Remember whether the embedded engine is somebody else's."""
    session.config.stash[WAS_UP] = Daemon().is_up()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Leave nothing running that was not running before."""
    if not session.config.stash.get(WAS_UP, True):
        Daemon().down()


WAS_UP = pytest.StashKey[bool]()
