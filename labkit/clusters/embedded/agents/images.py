"""Images of containers: there, pulled, or the reason why not, by their pull policy."""

from __future__ import annotations

import json
from typing import Any

from labkit.clusters.embedded.agents.engine import Engine, EngineError

Object = dict[str, Any]


class NoImage(Exception):
    """A container's image can't be had.

    Attributes:
        reason: `ErrImageNeverPull`, `ErrImagePull` or `InvalidImageName`.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


async def find(engine: Engine, name: str) -> Object | None:
    """What the engine knows of an image; None if it hasn't it."""
    try:
        found: Object = await engine.ask("GET", f"/images/{name}/json")
    except EngineError as error:
        if error.code == 400:
            raise NoImage(
                "InvalidImageName",
                f'Failed to apply default image tag "{name}": couldn\'t parse image name "{name}": invalid reference format',
            ) from None
        return None
    return found


async def pull(engine: Engine, name: str) -> Object:
    """Pull an image.

    Raises:
        NoImage: It can't be had.
    """
    whole = name if "@" in name or ":" in name.rpartition("/")[2] else f"{name}:latest"
    said = ""
    try:
        async with engine.open("POST", "/images/create", fromImage=whole) as answer:
            async for line in answer.content:
                event = json.loads(line)
                said = (event.get("errorDetail") or {}).get("message") or event.get("error") or said
    except EngineError as error:
        said = str(error)
    found = None if said else await find(engine, name)
    if found is None:
        raise NoImage("ErrImagePull", said or "the registry gave nothing")
    return found
