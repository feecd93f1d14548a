"""The model registry: what versions there are, where each came from, and which one is in production.

It has no server: everything is in the bucket, and any number of people and machines use it at once. Others
read what it writes (the edge, the judge), so the format is fixed:

    models/NAME/versions/000001.json    {"version": 1, "artifact": KEY, "sha256": HEX, "bytes": N,
                                         "lineage": {...}}
    models/NAME/stages/production.json  {"version": 2, "history": [1, 2]}, where history ends in version
    models/NAME/artifacts/...           yours: any keys you like
"""

# What you will need: from store import ABSENT, Changed, NotThere


class Conflict(Exception):
    """The stage is not what it was expected to be: somebody else promoted first."""


class Corrupt(Exception):
    """The artifact in the bucket is not the one that was registered."""


class Registry:
    """The registry in a bucket (store.Bucket or store.MemoryBucket)."""

    def __init__(self, bucket):
        self.bucket = bucket

    def register(self, name, artifact, lineage):
        """Keep a new version of a model; gives its number: 1, 2, ... Two who register at once get two.

        `artifact` is bytes; `lineage` a dict that says where it came from (run, steps, data), kept as is.
        A version is never to be seen before its artifact is there.
        """
        raise NotImplementedError

    def versions(self, name):
        """The manifests of all versions, by number; [] if there is none."""
        raise NotImplementedError

    def fetch(self, name, version):
        """A version's artifact, verified. Raises Corrupt if it is not what was registered; NotThere."""
        raise NotImplementedError

    def stage(self, name, stage):
        """The version that is in a stage, such as "production"; None if there is none."""
        raise NotImplementedError

    def promote(self, name, version, stage, expected):
        """Put a version into a stage if `expected` (a version, or None) is what is in it now.

        Raises Conflict if it is not, also when somebody else is faster by a moment; NotThere if there is no
        such version. To roll back is to promote an earlier version.
        """
        raise NotImplementedError

    def prune(self, name, keep):
        """Delete versions that nobody needs, artifacts and manifests; gives their numbers.

        What stays: the newest `keep`; what is in any stage; and for each stage the version that was there
        before, to roll back to.
        """
        raise NotImplementedError
