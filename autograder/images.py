"""A learner's image under judgement: their Dockerfile read, built on bases that are here, and removed."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from labkit.engines import Build, Engine, Image, bases
from labkit.engines.docker import DockerEngine
from labkit.engines.dockerfile import Base, Dockerfile
from labkit.errors import WorkFault

BUILD_SECONDS = 100
DOCKERFILE_BYTES = 64 << 10


class Builder:
    """Builds images for checks; as a context manager it removes them at the end.

    Args:
        engine: Where.
        say: Told of each step as it begins.
    """

    def __init__(self, engine: Engine, *, say: Callable[[str], None]) -> None:
        self.engine = engine
        self.say = say
        self._tags: list[str] = []

    def __call__(
        self, context: Path, dockerfile: str = "Dockerfile", *, seconds: float = BUILD_SECONDS, **how: Any
    ) -> Build:
        """Build the Dockerfile in that folder; a digest unknown here stands for our own copy of its base.

        Args:
            context: The folder.
            dockerfile: The Dockerfile's name in it.
            seconds: After which the build is ended.
            how: More of `Engine.build`'s arguments.

        Raises:
            WorkFault: The Dockerfile or the files are at fault.
        """
        file = localised(self.engine, context / dockerfile)
        tag = f"workbook-check:{secrets.token_hex(6)}"
        self._tags.append(tag)
        return self.engine.build(context, file, tag, seconds=seconds, on_step=self.say, **how)

    def __enter__(self) -> Builder:
        """Nothing is built yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove what was built."""
        for tag in self._tags:
            self.engine.remove(tag)


def read_dockerfile(folder: Path, name: str = "Dockerfile") -> Dockerfile:
    """The learner's Dockerfile.

    Raises:
        WorkFault: There is none, it is a link, or longer than anybody writes one.
    """
    path = folder / name
    if not path.is_file() or path.is_symlink():
        raise WorkFault(f"There is no {name}.", next_step="Put it back beside the other files.")
    if path.stat().st_size > DOCKERFILE_BYTES:
        raise WorkFault(f"The {name} holds more than {DOCKERFILE_BYTES >> 10} KiB.", next_step="Shorten it.")
    return Dockerfile(path.read_text(errors="replace"))


def final_base(dockerfile: Dockerfile) -> Base:
    """The image that the last stage stands on, through the stages that it begins with.

    Raises:
        WorkFault: There is none.
    """
    bases = {base.line: base for base in dockerfile.bases}
    stages: dict[str, Base | None] = {}
    last: Base | None = None
    for number, start in enumerate(dockerfile.stages):
        last = bases.get(start.line) or stages.get(start.image)
        stages[str(number)] = stages[start.name] = last
    if last is None:
        raise WorkFault("The Dockerfile names no base image.", next_step="Begin the last stage with FROM.")
    return last


def localised(engine: Engine, path: Path) -> Path:
    """A copy of a Dockerfile in which a base's digest that is not known here stands for our own copy of it.

    A learner pins what they have: the digests of a registry's image and of a stand-in differ.
    """
    dockerfile = read_dockerfile(path.parent, path.name)

    def ours(base: Base) -> str:
        whole = f"{base.tagged}@{base.digest}" if base.digest else base.tagged
        if not base.digest or base.tagged not in bases.RECIPES or not isinstance(engine, DockerEngine):
            return whole
        known = bases.provide(engine, base.tagged).digests
        return whole if f"{base.name}@{base.digest}" in known else base.tagged

    if not any(base.digest for base in dockerfile.bases):
        return path
    copy = path.with_name(f"{path.name}.localised")
    copy.write_text(dockerfile.with_bases(ours))
    return copy


def stand_ins(*images: Image) -> str:
    """What a result says of images that were built on stand-ins."""
    return " (on stand-in bases)" if any(image.stand_in for image in images) else ""
