"""`workbook up cluster` and `workbook down cluster`."""

from __future__ import annotations

import json
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from labkit.clusters.choice import backends, chosen
from labkit.clusters.embedded.cluster import EmbeddedCluster

AsJson = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]
Folder = Annotated[
    Path | None, typer.Option(help="The embedded cluster's state: another folder is another cluster.")
]
Backend = Annotated[str, typer.Option(help="embedded, or kubeconfig for any cluster of your own.")]


class Service(StrEnum):
    """What can be started and stopped."""

    CLUSTER = "cluster"


def up(
    service: Annotated[Service, typer.Argument(help="Which one.")],
    backend: Backend = "auto",
    folder: Folder = None,
    as_json: AsJson = False,
) -> None:
    """Start a service unless it runs; it goes on until `workbook down`."""
    began = time.monotonic()
    picked = chosen(backend)
    cluster = EmbeddedCluster(folder) if picked == "embedded" else backends()[picked]()()
    started = cluster.up()
    seconds = round(time.monotonic() - began, 2)
    said: dict[str, Any] = {
        "cluster": cluster.name,
        "kubeconfig": str(cluster.kubeconfig),
        "tier": cluster.capabilities.tier.value,
        "started": started,
        "seconds": seconds,
    }
    _print(said, as_json)


def down(
    service: Annotated[Service, typer.Argument(help="Which one.")],
    folder: Folder = None,
    purge: Annotated[bool, typer.Option("--purge", help="Delete its objects, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Stop a service that the workbook started; harmless if it does not run."""
    stopped = EmbeddedCluster(folder).down(purge=purge)
    _print({"cluster": "stopped" if stopped else "was not running", "purged": purge}, as_json)


def _print(said: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(said, indent=1))
        return
    for name, value in said.items():
        typer.echo(f"{name:10} {value}")
