"""Decides what is deployed, what may be pushed and what is deleted."""

import re
from copy import deepcopy

KEEP = 3
INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
VERSION = re.compile(r"v?\d+(\.\d+)+")


def pin(deployment, images):
    """The deployment with each image named by its digest."""
    digests = by_tag(images)
    pinned = deepcopy(deployment)
    for service in pinned["services"].values():
        if "@" not in service["image"]:
            repository = service["image"].rpartition(":")[0]
            service["image"] = f"{repository}@{digests[service['image']]}"
    return pinned


def may_push(tag, digest, images):
    """Whether a tag of a repository may be pushed so that it points to this digest."""
    now = next((image["digest"] for image in images if tag in image["tags"]), digest)
    return now == digest or not VERSION.fullmatch(tag)


def retention(images, running, keep=KEEP):
    """The digests that can be deleted."""
    digests = by_tag(images)
    kept = set()
    for reference in running:
        repository, at, digest = reference.partition("@")
        if not at:
            repository, digest = reference.rpartition(":")[0], digests.get(reference)
        kept.add((repository, digest))
    for repository in {image["repository"] for image in images}:
        tagged = [image for image in images if image["repository"] == repository and image["tags"]]
        newest = sorted(tagged, key=lambda image: image["created"], reverse=True)[:keep]
        kept.update((repository, image["digest"]) for image in newest)
    for image in images:
        if (image["repository"], image["digest"]) in kept:
            kept.update((image["repository"], child) for child in image["children"])
    return [
        {"repository": image["repository"], "digest": image["digest"]}
        for image in images
        if (image["repository"], image["digest"]) not in kept
    ]


def index(manifests):
    """An index of images, one for each platform."""
    entries = []
    manifest = next(iter(manifests.values()))
    for platform in manifests:
        system, _, architecture = platform.partition("/")
        entries.append({**manifest, "platform": {"os": system, "architecture": architecture}})
    return {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}


def by_tag(images):
    """The digest of each tagged image, by `repository:tag`."""
    return {f"{image['repository']}:{tag}": image["digest"] for image in images for tag in image["tags"]}
