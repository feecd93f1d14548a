"""The model registry: versions, stages and lineage as objects in a bucket, and no server."""

import hashlib
import json
import uuid

from store import ABSENT, Changed, NotThere


class Conflict(Exception):
    """The stage is not what it was expected to be: somebody else promoted first."""


class Corrupt(Exception):
    """The artifact in the bucket is not the one that was registered."""


class Registry:
    """The registry in a bucket (store.Bucket or store.MemoryBucket)."""

    def __init__(self, bucket):
        self.bucket = bucket

    def register(self, name, artifact, lineage):
        """Keep a new version; the artifact first, so that whoever sees the manifest can have it."""
        key = f"models/{name}/artifacts/{uuid.uuid4().hex}"
        self.bucket.write(key, artifact, only_if=ABSENT)
        digest = hashlib.sha256(artifact).hexdigest()
        number = max(self._numbers(name), default=0) + 1
        while True:
            manifest = {
                "version": number,
                "artifact": key,
                "sha256": digest,
                "bytes": len(artifact),
                "lineage": lineage,
            }
            try:
                self.bucket.write(_version_key(name, number), json.dumps(manifest).encode(), only_if=ABSENT)
                return number
            except Changed:  # somebody took that number a moment before
                number += 1

    def versions(self, name):
        """The manifests of all versions, by number."""
        found = []
        for number in self._numbers(name):
            try:
                found.append(self._manifest(name, number))
            except NotThere:  # pruned since it was listed
                continue
        return found

    def fetch(self, name, version):
        """A version's artifact, verified."""
        manifest = self._manifest(name, version)
        try:
            content, _ = self.bucket.read(manifest["artifact"])
        except NotThere as error:
            raise Corrupt(f"{name} {version}: its artifact is gone") from error
        return content

    def stage(self, name, stage):
        """The version that is in a stage; None if there is none."""
        return self._stage(name, stage)[0]["version"]

    def promote(self, name, version, stage, expected):
        """One conditional write of one object: the store decides who wins, and history is never apart."""
        self._manifest(name, version)
        state, etag = self._stage(name, stage)
        if state["version"] != expected:
            raise Conflict(f"{name} {stage} is {state['version']}, not {expected}")
        after = {"version": version, "history": [*state["history"], version]}
        try:
            self.bucket.write(_stage_key(name, stage), json.dumps(after).encode(), only_if=etag)
        except Changed as error:
            raise Conflict(f"{name} {stage} changed a moment ago") from error

    def prune(self, name, keep):
        """Delete what nobody needs; the manifest first, so that no manifest is ever without its artifact."""
        manifests = self.versions(name)
        needed = {manifest["version"] for manifest in manifests[max(0, len(manifests) - keep) :]}
        prefix = f"models/{name}/stages/"
        for key in self.bucket.keys(prefix):
            history = json.loads(self.bucket.read(key)[0])["history"]
            before = [version for version in history if version != history[-1]]
            needed |= {history[-1], *before[-1:]}
        pruned = [manifest for manifest in manifests if manifest["version"] not in needed]
        for manifest in pruned:
            self.bucket.delete(_version_key(name, manifest["version"]))
            self.bucket.delete(manifest["artifact"])
        return [manifest["version"] for manifest in pruned]

    def _numbers(self, name):
        prefix = f"models/{name}/versions/"
        return [int(key.removeprefix(prefix).removesuffix(".json")) for key in self.bucket.keys(prefix)]

    def _manifest(self, name, version):
        return json.loads(self.bucket.read(_version_key(name, version))[0])

    def _stage(self, name, stage):
        """A stage's state, and what its object must still be when it is written."""
        try:
            content, etag = self.bucket.read(_stage_key(name, stage))
        except NotThere:
            return {"version": None, "history": []}, ABSENT
        return json.loads(content), etag


def _version_key(name, version):
    return f"models/{name}/versions/{version:06d}.json"


def _stage_key(name, stage):
    return f"models/{name}/stages/{stage}.json"
