"""Control groups: memory, processes and CPU of a whole sandbox, on version 1 and version 2.

A group lies below our own (or, in version 2, below the nearest one that hands its controllers on), and its
name says which process made it, so that a later one can clear away what a killed one left.
"""

from __future__ import annotations

import itertools
import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from labkit.isolation.limits import Limits

ROOT = Path("/sys/fs/cgroup")
_NAME = re.compile(r"workbook-(\d+)-(\d+)-\d+")
_PERIOD_MICROSECONDS = 100_000
_CONTROLLERS = ("memory", "pids", "cpu")
_numbers = itertools.count()


@dataclass(frozen=True)
class Place:
    """Where one controller's groups can be made.

    Attributes:
        controller: `memory`, `pids` or `cpu`.
        version: 1 or 2.
        folder: The group that ours go below.
    """

    controller: str
    version: int
    folder: Path


def places(root: Path = ROOT, own: Path = Path("/proc/self/cgroup")) -> list[Place]:
    """Where this process can make groups, one place a controller; empty where it may not."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return []
    ours = {names: path.lstrip("/") for _, names, path in (line.split(":", 2) for line in lines)}
    found = []
    for controller in _CONTROLLERS:
        of_one = [
            root / names / path
            for names, path in ours.items()
            if controller in names.split(",") and (root / names).is_dir()
        ]
        folder, version = (of_one[0], 1) if of_one else (_delegated(root, ours.get("", ""), controller), 2)
        if folder is not None and folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
            found.append(Place(controller, version, folder))
    return found


def _unified(root: Path) -> Path:
    return root / "unified" if (root / "unified").is_dir() else root


def _delegated(root: Path, path: str, controller: str) -> Path | None:
    """Version 2: the nearest group around us whose children have the controller.

    A group that holds processes can't hand controllers on, so this is rarely our own.
    """
    top = _unified(root)
    group = top / path
    for candidate in (group, *group.parents):
        try:
            handed_on = (candidate / "cgroup.subtree_control").read_text().split()
        except OSError:
            continue
        if controller in handed_on and os.access(candidate, os.W_OK):
            return candidate
        if candidate == top:
            break
    return None


@dataclass
class Group:
    """The groups of one sandbox, one a controller (version 2 has them in one folder).

    Attributes:
        folders: The folder of each controller that binds.
        versions: Its version.
    """

    folders: dict[str, Path] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)

    @classmethod
    def make(cls, limits: Limits, at: list[Place] | None = None) -> Group:
        """Make groups with these limits, for each controller that lets us."""
        started = int(psutil.Process().create_time())
        name = f"workbook-{os.getpid()}-{started}-{next(_numbers)}"
        group = cls()
        chosen = places() if at is None else at
        group.folders = bind(name, limits, chosen)
        group.versions = {p.controller: p.version for p in chosen if p.controller in group.folders}
        return group

    @property
    def joining(self) -> list[str]:
        """The files that a process writes 0 to in order to join."""
        return sorted({str(folder / "cgroup.procs") for folder in self.folders.values()})

    @property
    def memory_ran_out(self) -> bool:
        """Whether something in it was killed because memory ran out."""
        folder = self.folders.get("memory")
        if folder is None:
            return False
        file = "memory.oom_control" if self.versions["memory"] == 1 else "memory.events"
        return _counter(folder / file, "oom_kill") > 0

    @property
    def processes_ran_out(self) -> bool:
        """Whether a process or thread could not be started because there were too many."""
        folder = self.folders.get("pids")
        return folder is not None and _counter(folder / "pids.events", "max") > 0

    def remove(self, patience: float = 2.0) -> None:
        """Remove the groups; their processes are gone, or go within that many seconds."""
        deadline = time.monotonic() + patience
        for folder in set(self.folders.values()):
            while folder.is_dir():
                try:
                    folder.rmdir()
                except OSError:
                    if time.monotonic() > deadline:
                        break  # the janitor of a later run finds it
                    time.sleep(0.005)
        self.folders.clear()


def top_places(root: Path = ROOT) -> list[Place]:
    """The top of each controller's hierarchy: where what is not below our own group goes."""
    found = []
    for controller in _CONTROLLERS:
        folder, version = (root / controller, 1) if (root / controller).is_dir() else (_unified(root), 2)
        try:
            there = version == 1 or controller in (folder / "cgroup.controllers").read_text().split()
        except OSError:
            continue
        if there and os.access(folder, os.W_OK | os.X_OK):
            if version == 2:
                with suppress(OSError):  # it is handed on already, or not to us
                    (folder / "cgroup.subtree_control").write_text(f"+{controller}")
            found.append(Place(controller, version, folder))
    return found


def bind(name: str, limits: Limits, at: list[Place] | None = None) -> dict[str, Path]:
    """Make a group of that name with these limits; gives the folder of each controller that binds."""
    bound = {}
    for place in top_places() if at is None else at:
        folder = place.folder / name
        try:
            folder.mkdir(exist_ok=True)
            for file, value, needed in _settings(place, limits):
                _set(folder / file, value, needed=needed)
            bound[place.controller] = folder
        except OSError:
            continue  # it does not bind here, and nobody says that it does
    return bound


def left_behind(at: list[Place] | None = None) -> Iterator[Path]:
    """Groups whose maker is gone."""
    for place in places() if at is None else at:
        for folder in place.folder.glob("workbook-*"):
            if (match := _NAME.fullmatch(folder.name)) and not lives(int(match[1]), int(match[2])):
                yield folder


def lives(pid: int, started: int) -> bool:
    """Whether the process of that number that began in that second is still there."""
    try:
        return int(psutil.Process(pid).create_time()) == started
    except psutil.NoSuchProcess:
        return False


def _settings(place: Place, limits: Limits) -> list[tuple[str, str, bool]]:
    """What goes into a controller's files: file, value, and whether nothing binds without it."""
    quota = round(limits.cores * _PERIOD_MICROSECONDS)
    match place.controller, place.version:
        case "memory", 1:
            memory = str(limits.memory_bytes)
            return [
                ("memory.limit_in_bytes", memory, True),
                ("memory.memsw.limit_in_bytes", memory, False),  # not there where there is no swap accounting
            ]
        case "memory", _:
            return [
                ("memory.max", str(limits.memory_bytes), True),
                ("memory.swap.max", "0", False),
                ("memory.oom.group", "1", False),
            ]
        case "pids", _:
            return [("pids.max", str(limits.processes), True)]
        case "cpu", 1:
            return [
                ("cpu.cfs_period_us", str(_PERIOD_MICROSECONDS), True),
                ("cpu.cfs_quota_us", str(quota), True),
            ]
        case _:
            return [("cpu.max", f"{quota} {_PERIOD_MICROSECONDS}", True)]


def _set(file: Path, value: str, *, needed: bool) -> None:
    if needed or file.exists():
        file.write_text(value)


def _counter(file: Path, name: str) -> int:
    try:
        counters = dict(line.split() for line in file.read_text().splitlines())
    except (OSError, ValueError):
        return 0
    return int(counters.get(name, 0))
