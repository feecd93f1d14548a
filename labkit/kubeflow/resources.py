"""Kubeflow's resources as manifests: read with care, held against their definitions, known to a cluster."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import kubernetes.client
import kubernetes.config
import yaml

from labkit.clusters.base import Cluster
from labkit.clusters.embedded import custom
from labkit.clusters.embedded.resources import Resource
from labkit.errors import Unavailable, WorkFault

Object = dict[str, Any]
MANIFEST_BYTES = 64 << 10
_DEFINITIONS = Path(__file__).parent / "crds"


@lru_cache(maxsize=1)
def definitions() -> tuple[Object, ...]:
    """The CustomResourceDefinitions of InferenceService, Experiment and Notebook."""
    return tuple(yaml.safe_load(path.read_text()) for path in sorted(_DEFINITIONS.glob("*.yaml")))


def read_manifest(path: Path) -> Object:
    """The one object in a YAML file.

    Raises:
        WorkFault: There is no such file, it does not parse, or holds anything but one object.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        raise WorkFault(f"There is no {path.name}.", next_step="Put the file back.") from None
    if len(text) > MANIFEST_BYTES:
        raise WorkFault(f"{path.name} holds more than {MANIFEST_BYTES >> 10} KiB.")
    try:
        # Aliases of aliases grow without bound when what they name is walked through.
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader)):
            raise WorkFault(f"{path.name} uses an alias (*name).", next_step="Write the value out.")
        found = [one for one in yaml.safe_load_all(text) if one is not None]
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        why = " ".join(str(error).split())[:200]
        raise WorkFault(f"{path.name} is not valid YAML.", why=why) from None
    if len(found) != 1 or not isinstance(found[0], dict):
        raise WorkFault(f"{path.name} holds {len(found)} documents.", next_step="One object belongs there.")
    return found[0]


def resource_of(kind: str) -> Resource:
    """How a kind is served.

    Raises:
        KeyError: There is no definition of it.
    """
    served = {one.kind: one for definition in definitions() for one in custom.resources_of(definition)}
    return served[kind]


def faults(manifest: Object, kind: str) -> list[str]:
    """What the kind's definition has against a manifest, each with its field; empty if it fits."""
    resource = resource_of(kind)
    said = (manifest.get("apiVersion"), manifest.get("kind"))
    if said != (resource.api_version, resource.kind):
        wanted = f"apiVersion: {resource.api_version}, kind: {resource.kind}"
        return [f"it says apiVersion: {said[0]}, kind: {said[1]}, not {wanted}"]
    metadata = manifest.get("metadata")
    if not isinstance(metadata, dict) or not metadata.get("name"):
        return ["metadata.name: Required value"]
    thing, unknown = custom.decode(resource, manifest)
    return unknown + [str(cause) for cause in custom.causes(resource.schema or {}, thing, "")]


def install(cluster: Cluster) -> list[str]:
    """Make the definitions known to a cluster, unless it has them; gives the names of those that were new.

    A cluster where Kubeflow itself is installed has its own, and keeps them.

    Raises:
        Unavailable: It does not take them.
    """
    new = []
    try:
        client = kubernetes.config.new_client_from_config(str(cluster.kubeconfig))  # type: ignore[no-untyped-call]
        api = kubernetes.client.ApiextensionsV1Api(client)
        known = {one.metadata.name for one in api.list_custom_resource_definition().items if one.metadata}
        for definition in definitions():
            name = str(definition["metadata"]["name"])
            if name not in known:
                api.create_custom_resource_definition(definition)  # type: ignore[arg-type]
                new.append(name)
    except kubernetes.client.ApiException as error:
        raise Unavailable(
            "The cluster does not take the definitions of Kubeflow's resources.",
            why=f"{error.status} {error.reason}",
            next_step="Take one of your own: `workbook up cluster`.",
        ) from error
    return new
