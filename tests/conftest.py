"""What all tests share: who runs beside whom, and an engine that the tests started is stopped at the end.

`make test` runs two tests at a time. The tests of a module stay in one process, for what they share; those of
modules that share nothing go one by one to whoever is free. Tests marked `alone` measure time, or end
what others use: nothing runs beside them, and they come last.
"""

from __future__ import annotations

import fcntl
import signal
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

from labkit.engines.daemon import Daemon

WAS_UP = pytest.StashKey[bool]()
SHARE_NOTHING = ("tests/test_labs.py", "tests/test_rubrics.py")


def pytest_configure(config: pytest.Config) -> None:
    """Let Ctrl-C be tested also where a shell started us in the background, which ignores it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Remember whether the embedded engine is somebody else's."""
    if _number(session.config) is None:
        session.config.stash[WAS_UP] = Daemon().is_up()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Leave nothing running that was not running before."""
    if not session.config.stash.get(WAS_UP, True):
        Daemon().down()


class ByModule(LoadScopeScheduling):
    """Gives out whole modules, and those tests one by one that share nothing."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        return nodeid if module in SHARE_NOTHING else module


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByModule:
    """How `-n 2` hands out tests, whatever `--dist` says."""
    return ByModule(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put those that have to be alone behind the others."""
    items.sort(key=lambda item: item.get_closest_marker("alone") is not None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Run a test beside the other process's, or, if it measures time, while that waits."""
    run = _number(item.config)
    if run is None:
        return (yield)
    with (Path(tempfile.gettempdir()) / f"workbook-tests-{run}.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX if item.get_closest_marker("alone") else fcntl.LOCK_SH)
        return (yield)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Take the lock's file away."""
    if (run := _number(config)) is not None:
        (Path(tempfile.gettempdir()) / f"workbook-tests-{run}.lock").unlink(missing_ok=True)


def _number(config: pytest.Config) -> str | None:
    """The number that the processes of one run have in common; None in a process that runs alone."""
    shared: dict[str, str] | None = getattr(config, "workerinput", None)
    return None if shared is None else shared["testrunuid"]
