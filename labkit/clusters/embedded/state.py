"""What a cluster notes of itself beside its objects: port, token, engine, range of addresses."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

Place = dict[str, Any]
_FILE = "place.json"


def read(folder: Path) -> Place:
    """What was noted; empty before the first start."""
    try:
        found: Place = json.loads((folder / _FILE).read_text())
    except (OSError, ValueError):
        return {}
    return found


def write(folder: Path, place: Place) -> None:
    """Note it."""
    private(folder / _FILE, json.dumps(place))


def private(path: Path, text: str) -> None:
    """Write a file that only its owner reads, in one step."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_text(text)
    draft.replace(path)
