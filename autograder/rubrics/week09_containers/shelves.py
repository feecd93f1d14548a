"""Registries filled for lab week09/registry: what lies in them, and what of it is in use."""

import random
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from labkit.errors import WorkFault

MODEL, GATEWAY = "team/model", "team/gateway"
LAYER_BYTES = 500_000
PLATFORMS = ("linux/amd64", "linux/arm64")


@dataclass
class Shelf:
    """What lies in the registry, as plain data, and what of it is in use.

    Attributes:
        images: What all repositories hold.
        running: References of what runs.
        used: Repository and digest of what has to stay, as we see it.
    """

    images: list[dict[str, Any]]
    running: list[str]
    used: set[tuple[str, str]]

    def digest(self, repository, tag):
        return next(i["digest"] for i in self.images if i["repository"] == repository and tag in i["tags"])


def fill(client):
    """Two repositories: versions whose names sort otherwise than their times, an index among them."""
    # 1.10.0 is newer than 1.9.0; hotfix 1.2.1 is the newest of all. What runs is old.
    for day, version in enumerate(("1.2.0", "1.8.0", "1.9.0", "1.10.0", "1.2.1"), start=1):
        push(client, MODEL, version, day)
    for day, version in enumerate(("2.0.0", "2.1.0", "2.2.0", "2.3.0", "2.4.0"), start=11):
        parts = {platform: push(client, GATEWAY, None, day, platform) for platform in PLATFORMS}
        client.put_index(GATEWAY, version, parts)
    client.push_manifest(MODEL, "latest", client.manifest(MODEL, "1.2.1"))
    images = stored(client)
    running = [
        f"{MODEL}:1.2.0",
        f"{GATEWAY}@{client.digest(GATEWAY, '2.0.0')}",
    ]
    used = set()
    for repository, versions in {
        MODEL: ("1.2.0", "1.9.0", "1.10.0", "1.2.1"),
        GATEWAY: ("2.0.0", "2.2.0", "2.3.0", "2.4.0"),
    }.items():
        used |= {(repository, client.digest(repository, version)) for version in versions}
    used |= {
        (i["repository"], c) for i in images if (i["repository"], i["digest"]) in used for c in i["children"]
    }
    return Shelf(images, running, used)


def push(client, repository, tag, day, platform="linux/amd64"):
    """Push an image with a layer of its own."""
    content = random.Random(f"{repository}{tag}{day}{platform}").randbytes(LAYER_BYTES)
    created = f"2026-03-{day:02}T10:00:00Z"
    return client.push_image(repository, tag, {"app/weights": content}, created=created, platform=platform)


def stored(client):
    """All entries of both repositories, as plain data."""
    return [entry.to_json() for repository in (MODEL, GATEWAY) for entry in client.stored(repository)]


def leads_to(client, image):
    """The digest that a reference leads to now; empty if to none."""
    name, at, digest = image.partition("@")
    repository, _, tag = name.rpartition(":")
    try:
        return client.digest(repository if "/" in repository else name, digest if at else tag)
    except WorkFault:
        return ""


@contextmanager
def moved(client, references):
    """Let these tags point to other images meanwhile."""
    before = {}
    for reference in references:
        repository, _, tag = reference.rpartition(":")
        before[repository, tag] = client.manifest(repository, tag)
        push(client, repository, tag, 30)
    try:
        yield
    finally:
        for (repository, tag), manifest in before.items():
            client.push_manifest(repository, tag, manifest)


def pull(client, repository, digest):
    """Fetch all that an image or an index consists of.

    Raises:
        WorkFault: Something of it is gone.
    """
    manifest = client.manifest(repository, digest)
    for child in manifest.get("manifests", []):
        pull(client, repository, child["digest"])
    for part in [manifest["config"], *manifest["layers"]] if "config" in manifest else []:
        client.blob(repository, part["digest"])


def random_shelf(rng):
    """Images and indexes at random, what runs, how many are kept, and what nothing needs."""
    images, running, used = [], [], set()
    keep = rng.choice((1, 2, 4))
    for repository in ("a/one", "b/two"):
        days = rng.sample(range(1, 29), 8)
        tagged = []
        for number, day in enumerate(days):
            children = ["sha256:" + rng.randbytes(32).hex() for _ in range(rng.choice((0, 0, 2)))]
            images += [entry_of(repository, child, [], day) for child in children]
            tags = [f"{number}.0.0"] if rng.random() < 0.8 else []
            entry = entry_of(repository, "sha256:" + rng.randbytes(32).hex(), tags, day, children)
            images.append(entry)
            tagged += [entry] if tags else []
        kept = sorted(tagged, key=lambda entry: entry["created"])[-keep:]
        runs = rng.choice(tagged)
        running.append(rng.choice((f"{repository}:{runs['tags'][0]}", f"{repository}@{runs['digest']}")))
        for entry in [*kept, runs]:
            used |= {(repository, digest) for digest in (entry["digest"], *entry["children"])}
    rng.shuffle(images)
    everything = {(image["repository"], image["digest"]) for image in images}
    return images, running, keep, everything - used


def entry_of(repository, digest, tags, day, children=()):
    """One image or index as the registry client lists it."""
    created = f"2026-02-{day:02}T08:00:00Z"
    platform = "" if children else "linux/amd64"
    return {
        "repository": repository,
        "digest": digest,
        "tags": tags,
        "created": created,
        "children": list(children),
        "platform": platform,
    }
