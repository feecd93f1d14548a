"""Where engine, registry and base images keep what is theirs: one place a machine, or one a person."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

_NAME = "ml-workbook"


def running(part: str) -> Path:
    """The folder of what is gone when `part` is down: sockets, pids, state."""
    if os.geteuid() == 0:
        return Path("/run") / _NAME / part
    return platformdirs.user_state_path(_NAME) / "run" / part


def kept(part: str) -> Path:
    """The folder of what `part` keeps: images, layers, logs."""
    if os.geteuid() == 0:
        return Path("/var/lib") / _NAME / part
    return platformdirs.user_state_path(_NAME) / part


def cache(part: str) -> Path:
    """The folder of what can be made again, at the cost of some time."""
    if os.geteuid() == 0:
        return Path("/var/cache") / _NAME / part
    return platformdirs.user_cache_path(_NAME) / part
