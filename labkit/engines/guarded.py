"""The guard for images: what a learner's Dockerfile makes is built and run on an engine of its own, fenced.

Each run of checks has its own engine, started from a copy of a disk that holds the bases and the layers of
our own builds: nothing of one learner's, their cache least of all, is there when the next one's begin.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from filelock import FileLock

from labkit import debian
from labkit.engines import bases, disks, fenced, places
from labkit.engines.base import About, Engine
from labkit.engines.choice import connect
from labkit.engines.embedded import EmbeddedEngine
from labkit.engines.fenced import LIMITS, FencedDaemon
from labkit.errors import Unavailable, WorkbookError
from labkit.isolation import guard

_USUAL = "usual builds"
_USUAL_SECONDS = 200


def folder() -> Path:
    """Where the prepared disk lies."""
    return places.cache("grading")


def _disk() -> Path:
    return folder() / "bases.ext4"


@dataclass(frozen=True)
class Usual:
    """A build that most learners' builds begin like: its layers are cached on the prepared disk.

    It has to be our own, since what it leaves in the cache is taken by others.

    Attributes:
        context: The folder that COPY copies from.
        dockerfile: A name in it.
    """

    context: Path
    dockerfile: str = "Dockerfile"


def prepared() -> dict[str, str]:
    """The bases on the prepared disk, with the version of the recipe that they were made by."""
    try:
        found: dict[str, str] = json.loads((folder() / "bases.json").read_text())
    except (OSError, ValueError):
        return {}
    return found if _disk().is_file() else {}


def _lacks(names: Iterable[str], key: str) -> bool:
    known = prepared()
    wanted = dict.fromkeys(names, bases.VERSION) | ({_USUAL: key} if key else {})
    return not _disk().is_file() or any(known.get(name) != version for name, version in wanted.items())


def prepare(
    names: Iterable[str],
    usual: Iterable[Usual] = (),
    *,
    key: str = "",
    say: debian.Say = debian.say_on_stderr,
) -> None:
    """Make the disk that engines for grading begin with, unless it holds these bases and builds already.

    Args:
        names: The bases, `python:3.11-slim`.
        usual: Builds whose layers are kept; one that fails is left out.
        key: What these builds are known by; empty if any will do.
        say: Told in a sentence what is done, if it takes time.

    Raises:
        Unavailable: This machine can't.
    """
    fenced.clear()
    names = tuple(names)
    if not _lacks(names, key):
        return
    debian.ensure("engine", say=say)
    folder().mkdir(parents=True, exist_ok=True)
    with FileLock(folder() / "making.lock"):
        if not _lacks(names, key):
            return
        wanted = sorted({*names, *prepared()} - {_USUAL})
        say(f"Preparing the engine for grading with {', '.join(wanted)} (once, some minutes).")
        source = connect(say=say)
        for name in wanted:
            bases.provide_for(source, name)
        with FencedEngine(FencedDaemon.beside(), source, say) as engine:
            disks.make(engine.fenced.disk, LIMITS.disk_bytes)
            engine.up()
            for name in wanted:
                bases.provide(engine, name)
            for build in usual:
                with suppress(WorkbookError):
                    engine.build(build.context, build.dockerfile, seconds=_USUAL_SECONDS)
            engine.fenced.stop_in_order()
            disks.move(engine.fenced.disk, _disk())
        known = dict.fromkeys(wanted, bases.VERSION) | {_USUAL: key}
        (folder() / "bases.json").write_text(json.dumps(known))


class FencedEngine(EmbeddedEngine):
    """An embedded engine behind a fence, gone at the end of its context.

    Args:
        daemon: The dockerd within its fence.
        source: Where it takes bases from; by default the engine that the labs use here.
        say: Told in a sentence what is done, if it takes time.
    """

    def __init__(
        self,
        daemon: FencedDaemon,
        source: Engine | None = None,
        say: debian.Say = debian.say_on_stderr,
    ) -> None:
        super().__init__(daemon, say=say)
        self.fenced = daemon
        self.fence = daemon
        self.bases_from = lambda: source or connect(say=say)

    def __enter__(self) -> FencedEngine:
        """Start it when there is work."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it with all that it runs."""
        self.down()


class GuardedEngine(FencedEngine):
    """An engine for what nobody vouches for, on a copy of the prepared disk; a context manager.

    Args:
        say: Told in a sentence what is done, if it takes time.
    """

    name = "guarded"

    def __init__(self, *, say: debian.Say = debian.say_on_stderr) -> None:
        super().__init__(FencedDaemon.beside(), None, say)

    def about(self) -> About:
        """What it is."""
        found = super().about()
        return About(found.name.replace("embedded", "guarded"), found.address, found.builder, found.bridge)

    def up(self) -> bool:
        """Start it unless it runs, on a fresh copy of the prepared disk; gives whether it was started.

        Raises:
            Unavailable: There is no such disk, or this machine can't.
        """
        if self.daemon.is_up():
            return False
        _require_disk()
        self.down()
        disks.copy(_disk(), self.fenced.disk)
        return super().up()


@contextmanager
def engine_for_work(*, say: debian.Say = debian.say_on_stderr) -> Iterator[Engine]:
    """The engine that a learner's image is built and run on: guarded where their code is kept apart.

    Raises:
        Unavailable: There is none.
    """
    if not guard.current().isolation.sandboxed:
        yield connect(say=say)
        return
    with GuardedEngine(say=say) as engine:
        engine.up()
        yield engine


def require() -> None:
    """Go on if images can be built and run behind a guard here.

    Raises:
        Unavailable: They can't; the message says why and what would help.
    """
    with suppress(WorkbookError):
        fenced.clear()
    if why := fenced.lacks():
        raise why
    _require_disk()


def _require_disk() -> None:
    if not _disk().is_file():
        raise Unavailable(
            "There is no guard for images here: no engine for grading was prepared.",
            next_step="As root, on Linux: `workbook grade` prepares one.",
        )
