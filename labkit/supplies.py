"""What labs fetch when they first need it: what there is, how big it is, and how it comes beforehand."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from labkit import debian
from labkit.engines import Engine, bases, choice, connect, places
from labkit.engines.daemon import Daemon
from labkit.environments import Environment, ensure
from labkit.errors import WorkbookError
from labkit.models.store import is_made, models_folder, prepare
from labkit.terraform.program import find_program, mirror

Say = Callable[[str], None]

ENVIRONMENTS = {
    "scan": ("week09", "week12"),
    "kubeflow": ("week10",),
    **dict.fromkeys(
        ("bentoml", "granian", "kserve", "mlserver", "ray", "seldon", "torchserve", "triton"), ("week11",)
    ),
    "edge": ("week11",),
    "cloud": ("week12", "project2"),
    "pulumi": ("week12",),
    "storage": ("project2",),
}
"""The isolated environments of labs, and where they are used; not those of the project's own work."""
PACKAGES = {
    "engine": ("week09", "week10", "project1"),
    "registry": ("week09",),
    "java": ("week11",),
    "monitoring": ("project1",),
}
"""Groups of Debian packages (`labkit.debian.GROUPS`), and where they are used."""


@dataclass(frozen=True)
class Supply:
    """One thing that labs fetch.

    Attributes:
        name: What to call it.
        used_by: Weeks and projects, `week09`, `project1`.
        size: Its bytes on this machine's disk; None if it is not here.
        fetch: Brings it; told what to say, it says what it does.
    """

    name: str
    used_by: tuple[str, ...]
    size: Callable[[], int | None]
    fetch: Callable[[Say], object]


def supplies(root: Path) -> list[Supply]:
    """All that the course's labs fetch, in the order in which it is best fetched.

    Args:
        root: The course's folder.
    """
    model = models_folder(root) / "digits"
    found = [
        Supply(
            "model",
            ("week09", "week10", "week11", "project1", "project2"),
            lambda: folder_bytes(model) if is_made(model) else None,
            lambda say: prepare(model, say=say),
        )
    ]
    for group, used_by in PACKAGES.items():
        if group in debian.GROUPS:
            found.append(Supply(f"packages: {group}", used_by, partial(_installed, group), _packages(group)))
    for name, used_by in ENVIRONMENTS.items():
        environment = Environment(name, root)
        if environment.requirements.is_file():
            found.append(Supply(name, used_by, partial(_made, environment), _environment(environment)))
    found.append(Supply("Terraform's provider", ("week12",), _mirrored, _mirror))
    return [*found, *_images()]


def select(offered: Iterable[Supply], wanted: Iterable[str]) -> list[Supply]:
    """The supplies that names of weeks, of projects or of supplies ask for; all, if there are none.

    Raises:
        WorkbookError: A name is none of them.
    """
    offered, wanted = list(offered), list(wanted)
    known = {name for supply in offered for name in (supply.name, *supply.used_by)}
    if unknown := [name for name in wanted if name not in known]:
        raise WorkbookError(
            f"Nothing to fetch is called {unknown[0]!r}.", next_step=f"There are: {', '.join(sorted(known))}."
        )
    return [s for s in offered if not wanted or {s.name, *s.used_by} & set(wanted)]


def folder_bytes(folder: Path) -> int:
    """What a folder takes of the disk; a file with several names counts once."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for place, _, names in os.walk(folder):
        for status in (Path(place, name).lstat() for name in names):
            if (status.st_dev, status.st_ino) not in seen:
                seen.add((status.st_dev, status.st_ino))
                total += status.st_blocks * 512
    return total


def removable_environments(root: Path) -> list[Environment]:
    """The isolated environments that the workbook made; not the one that runs it.

    Args:
        root: The course's folder.
    """
    found = (Environment(path.name, root) for path in sorted((root / ".environments").glob("*/")))
    return [environment for environment in found if environment.read_stamp()]


def _made(environment: Environment) -> int | None:
    return None if environment.flaw() else folder_bytes(environment.path)


def _environment(environment: Environment) -> Callable[[Say], object]:
    return lambda say: ensure(environment.name, root=environment.root, say=say)


def _packages(group: str) -> Callable[[Say], object]:
    return lambda say: debian.ensure(group, say=say)


def _installed(group: str) -> int | None:
    """What the packages say that they take; 0 where programs on PATH stand in for them."""
    if debian.missing(group):
        return None
    query = ("dpkg-query", "--show", "--showformat=${Installed-Size}\n", *debian.GROUPS[group].packages)
    try:
        told = subprocess.run(query, capture_output=True, text=True, check=False).stdout
    except OSError:
        return 0
    return 1024 * sum(int(line) for line in told.split() if line.isdigit())


def _mirrored() -> int | None:
    folder = places.cache("terraform")
    return folder_bytes(folder) if folder.is_dir() and any(folder.iterdir()) else None


def _mirror(say: Say) -> object:
    find_program()
    return mirror()


def _images() -> list[Supply]:
    labs = {
        bases.PYTHON_IMAGES: ("week09", "week10", "project1"),
        bases.CUDA_IMAGES: ("week09",),
        bases.TORCH_IMAGES: ("week10",),
    }
    return [
        Supply(name, needed_by, partial(_image_bytes, name), partial(_image, name))
        for names, needed_by in labs.items()
        for name in names
    ]


def _image_bytes(name: str) -> int | None:
    engine = _running_engine()
    if engine is None:
        return None
    return next((image.bytes for image in engine.images() if name in image.tags), None)


def _running_engine() -> Engine | None:
    """The engine that labs use, if it is up already: looking starts nothing."""
    if choice.chosen() == "embedded" and not Daemon().is_up():
        return None
    try:
        return connect()
    except WorkbookError:
        return None


def _image(name: str, say: Say) -> object:
    return bases.provide_for(connect(say=say), name)
