"""`workbook up` and `workbook down`: what the labs run on, started and stopped by hand."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from autograder.commands import clouds, clusters, monitoring
from labkit.engines import bases, connect
from labkit.engines.embedded import EmbeddedEngine
from labkit.engines.registry import Registry

Folder = Annotated[
    Path | None, typer.Option(help="The state of a cluster or a monitoring: each folder is one of its own.")
]
Backend = Annotated[
    str, typer.Option(help="A cluster's: embedded, debian, kind, or kubeconfig for your own.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]


class Service(StrEnum):
    """What can be started and stopped."""

    ENGINE = "engine"
    REGISTRY = "registry"
    CLUSTER = "cluster"
    CLOUD = "cloud"
    MONITORING = "monitoring"


@dataclass(frozen=True)
class _Handle:
    """How a service is started and stopped; both give what is printed."""

    up: Callable[[Callable[[str], None]], dict[str, Any]]
    down: Callable[[bool], dict[str, Any]]


def up(
    service: Annotated[Service, typer.Argument(help="Which one.")],
    backend: Backend = "auto",
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Start a service unless it runs; it goes on until `workbook down`."""
    console = Console(stderr=True, highlight=False, soft_wrap=True, quiet=as_json)
    began = time.monotonic()
    if service is Service.CLUSTER:
        said = clusters.up(backend, folder)
    elif service is Service.MONITORING:
        said = monitoring.up(folder, lambda line: console.print(line.strip()))
    else:
        said = _HANDLES[service].up(lambda line: console.print(line.strip()))
    said["seconds"] = round(time.monotonic() - began, 2)
    _print(said, as_json)


def down(
    service: Annotated[Service, typer.Argument(help="Which one.")],
    backend: Backend = "auto",
    purge: Annotated[bool, typer.Option("--purge", help="Delete its images or objects, too.")] = False,
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Stop a service that the workbook started, with all that it runs; harmless if it does not run."""
    if service is Service.CLUSTER:
        _print(clusters.down(backend, folder, purge), as_json)
    elif service is Service.MONITORING:
        _print(monitoring.down(folder, purge), as_json)
    else:
        _print(_HANDLES[service].down(purge), as_json)


def _print(said: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(said, indent=1))
        return
    for name, value in said.items():
        typer.echo(f"{name:10} {', '.join(map(str, value)) if isinstance(value, list) else value}")


def _engine_up(say: Callable[[str], None]) -> dict[str, Any]:
    engine = connect(say=say)
    about = engine.about()
    images = engine.images()
    return {
        "engine": about.name,
        "address": about.address,
        "builder": about.builder,
        "network": "own bridge" if about.bridge else "the machine's own",
        "bases": [
            f"{tag}{' (stand-in)' if image.stand_in else ''}"
            for image in images
            for tag in image.tags
            if tag in bases.RECIPES
        ],
    }


def _engine_down(purge: bool) -> dict[str, Any]:
    stopped = EmbeddedEngine().down(purge=purge)
    return {"engine": "stopped" if stopped else "was not running", "purged": purge}


def _registry_up(say: Callable[[str], None]) -> dict[str, Any]:
    registry = Registry()
    registry.up(say)
    return {"registry": registry.url, "holds": registry.client.repositories(), "bytes": registry.bytes()}


def _registry_down(purge: bool) -> dict[str, Any]:
    stopped = Registry().down(purge=purge)
    return {"registry": "stopped" if stopped else "was not running", "purged": purge}


_HANDLES = {
    Service.ENGINE: _Handle(_engine_up, _engine_down),
    Service.REGISTRY: _Handle(_registry_up, _registry_down),
    Service.CLOUD: _Handle(clouds.up, clouds.down),
}
