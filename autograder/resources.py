"""What a check may need of the machine (`@needs`), each with the test that finds it and what brings it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress

from autograder.rubric import QUIET_MACHINE
from labkit.course import Lab
from labkit.errors import Unavailable, WorkbookError


def _gpu() -> None:
    if shutil.which("nvidia-smi") is None:
        raise Unavailable(
            "This machine has no NVIDIA GPU.",
            next_step="Run this check on a machine that has one; your work stays as it is.",
        )


def _always() -> None:
    """Every machine has it."""


def _engine() -> None:
    from labkit.engines import connect

    connect()


def _images_of(resource: str) -> tuple[str, ...]:
    """The bases that come with what concerns images."""
    from labkit.engines import bases

    known = {
        "python_images": bases.PYTHON_IMAGES,
        "cuda_images": bases.CUDA_IMAGES,
        "torch_images": bases.TORCH_IMAGES,
    }
    return known.get(resource, ())


def _provide(resource: str) -> None:
    from labkit.engines import bases, connect

    engine = connect()
    for name in _images_of(resource):
        bases.provide_for(engine, name)


def _monitoring() -> None:
    from labkit import debian

    debian.ensure("monitoring")


def _cluster() -> None:
    from labkit.clusters import connect

    connect()


def _kubeflow() -> None:
    from labkit import environments

    for name in ("kubeflow", "kserve"):
        environments.ensure(name)


def _scanners() -> None:
    from labkit.scanning import ready

    ready()


def _registry() -> None:
    from labkit import debian

    debian.ensure("registry")


def _cloud() -> None:
    from labkit.terraform.program import find_program, mirror

    find_program()
    mirror()


def _google_provider() -> None:
    from labkit.terraform.program import mirror

    folder = mirror()
    if folder is None or not any((folder / "registry.terraform.io/hashicorp/google").glob("*")):
        place = f" {folder}" if folder else " the folder of providers"
        raise Unavailable(
            "Google's provider for Terraform is not on this machine.",
            why="It comes from Terraform's registry alone.",
            next_step=f"With a network, in live/gcp: terraform providers mirror{place}",
        )


def _pulumi() -> None:
    from labkit.environments import ensure

    ensure("pulumi")


def _object_store() -> None:
    from labkit.environments import ensure
    from labkit.storage.seaweed import find_program

    find_program()
    ensure("cloud")


_RESOURCES: dict[str, Callable[[], None]] = {
    "engine": _engine,
    "python_images": lambda: _provide("python_images"),
    "cuda_images": lambda: _provide("cuda_images"),
    "torch_images": lambda: _provide("torch_images"),
    "cluster": _cluster,
    "monitoring": _monitoring,
    "kubeflow": _kubeflow,
    "scanners": _scanners,
    "registry": _registry,
    "cloud": _cloud,
    "google_provider": _google_provider,
    "pulumi": _pulumi,
    "object_store": _object_store,
    "gpu": _gpu,
    "server": _always,
    "scripts": _always,
    QUIET_MACHINE: _always,
}
BY_CHANCE = frozenset({"gpu", "google_provider"})
"""What most machines lack: the checks concerned are not measured there, and the lab runs nevertheless."""
_ENGINES = ("engine", "python_images", "cuda_images", "torch_images", "cluster")
"""Those that run what was handed in: where that is not our own, behind what keeps it apart."""
_SERVICES = (*_ENGINES, "kubeflow", "registry", "scanners", "cloud", "pulumi", "object_store", "monitoring")
"""Those that are started, made or installed if they are not there, and stay when the check has ended."""


def start(wanted: Iterable[str], *, fenced: bool = False, labs: Iterable[Lab] = ()) -> None:
    """Start the services among what is wanted, from a process that does not end what it leaves running.

    A check's own process ends all that was started in it. What can't be started is said by `require`.

    Args:
        wanted: Names of resources.
        fenced: What will be checked is not our own: prepare what keeps it apart instead.
        labs: Whose images will be graded: the builds that most of them begin like are done beforehand.
    """
    services = [resource for resource in _SERVICES if resource in wanted]
    engines = [resource for resource in services if fenced and resource in _ENGINES]
    if engines:
        from autograder.usual_builds import usual_builds
        from labkit.engines import guarded

        with suppress(WorkbookError), usual_builds(labs) as (usual, key):
            guarded.prepare([base for resource in engines for base in _images_of(resource)], usual, key=key)
    for resource in services:
        if resource not in engines:
            with suppress(WorkbookError):
                _RESOURCES[resource]()


def require(resource: str, *, fenced: bool = False) -> None:
    """Go on if the machine has it.

    Args:
        resource: Its name.
        fenced: What is checked is not our own: only what keeps it apart may run it.

    Raises:
        Unavailable: It has not, or nothing here keeps apart what would run; the message says what would help.
        KeyError: No resource is called that.
    """
    if fenced and resource in _ENGINES:
        from labkit.engines import guarded

        guarded.require()
    else:
        _RESOURCES[resource]()
