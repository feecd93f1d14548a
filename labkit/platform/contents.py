"""The bucket's contents as anybody may read them: manifests, stages, checkpoints; and how to damage them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from labkit.errors import WorkFault
from labkit.storage import Gateway

DAMAGE = bytes([0x5A]) * 16


@dataclass(frozen=True)
class Stage:
    """What a stage's object says.

    Attributes:
        version: Which is in it; None if there is no such object.
        history: All that were, in order.
    """

    version: int | None = None
    history: list[int] = field(default_factory=list)


class Contents:
    """What is in a bucket, read past the gateway.

    Args:
        gateway: Whose bucket.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._s3 = gateway.direct
        self._bucket = gateway.bucket

    def put(self, key: str, content: bytes) -> None:
        """Put an object."""
        self._s3.put_object(Bucket=self._bucket, Key=key, Body=content)

    def get(self, key: str) -> bytes | None:
        """An object; None if there is none."""
        with suppress(self._s3.exceptions.NoSuchKey):
            content: bytes = self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read()
            return content
        return None

    def sizes(self, prefix: str) -> dict[str, int]:
        """The keys that begin so, with their bytes."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
        return {each["Key"]: each["Size"] for page in pages for each in page.get("Contents", [])}

    def clear(self, prefix: str) -> None:
        """Delete all keys that begin so."""
        for key in self.sizes(prefix):
            self._s3.delete_object(Bucket=self._bucket, Key=key)

    def damage(self, key: str) -> None:
        """Change some bytes in the middle of an object, as a bad disk does: its size stays."""
        content = self.get(key) or b""
        middle = len(content) // 2
        flipped = bytes(a ^ b for a, b in zip(content[middle : middle + len(DAMAGE)], DAMAGE, strict=False))
        self.put(key, content[:middle] + flipped + content[middle + len(flipped) :])

    def stage(self, model: str, stage: str) -> Stage:
        """What a stage's object says.

        Raises:
            WorkFault: It is not in the format.
        """
        key = f"models/{model}/stages/{stage}.json"
        content = self.get(key)
        if content is None:
            return Stage()
        found = _json(key, content)
        version, history = found.get("version"), found.get("history")
        if not isinstance(version, int) or not isinstance(history, list):
            raise WorkFault(f'{key} is not {{"version": ..., "history": [...]}}.')
        return Stage(version, history)

    def manifests(self, model: str) -> dict[int, dict[str, Any]]:
        """The manifests of a model, by version.

        Raises:
            WorkFault: One is not in the format.
        """
        found = {}
        for key in self.sizes(f"models/{model}/versions/"):
            manifest = _json(key, self.get(key) or b"")
            if not isinstance(manifest.get("version"), int) or not isinstance(manifest.get("artifact"), str):
                raise WorkFault(f'{key} lacks "version" or "artifact".')
            found[manifest["version"]] = manifest
        return found

    def without_artifact(self, model: str) -> list[int]:
        """The versions whose artifact is not there, or not what their manifest says."""
        wrong = []
        for version, manifest in self.manifests(model).items():
            content = self.get(manifest["artifact"])
            if content is None or hashlib.sha256(content).hexdigest() != manifest.get("sha256"):
                wrong.append(version)
        return wrong

    def publish(self, model: str, version: int, artifact: bytes, *, sha256: str | None = None) -> None:
        """Register a version as the format says, from outside; under another hash than its own, if given."""
        key = f"models/{model}/artifacts/published-{version}"
        self.put(key, artifact)
        manifest = {
            "version": version,
            "artifact": key,
            "sha256": sha256 or hashlib.sha256(artifact).hexdigest(),
            "bytes": len(artifact),
            "lineage": {"run": "published"},
        }
        self.put(f"models/{model}/versions/{version:06d}.json", json.dumps(manifest).encode())

    def set_stage(self, model: str, stage: str, history: Sequence[int]) -> None:
        """Put a version into a stage, from outside: the last of this history."""
        state = {"version": history[-1], "history": list(history)}
        self.put(f"models/{model}/stages/{stage}.json", json.dumps(state).encode())


def _json(key: str, content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise WorkFault(f"{key} is no JSON.") from error
    if not isinstance(found, dict):
        raise WorkFault(f"{key} holds no JSON object.")
    return found
