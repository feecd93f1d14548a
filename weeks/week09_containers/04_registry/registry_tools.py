"""Decides what is deployed, what may be pushed and what is deleted: four functions of plain data.

An image, or an index of images, is described as the registry tells of it:

    {
        "repository": "team/model",
        "digest": "sha256:...",
        "tags": ["1.4.0", "latest"],          # none, if no tag points to it
        "created": "2026-01-05T10:00:00Z",    # when it was made
        "children": ["sha256:...", ...],      # the images that an index names; of an image: none
        "platform": "linux/amd64",            # of an index: ""
    }
"""

KEEP = 3
INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"


def pin(deployment, images):
    """The deployment with each image named by its digest.

    Args:
        deployment: `{"services": {"model": {"image": "team/model:1.4.0", ...}, ...}}`. An image that is
            named by its digest already stays as it is.
        images: What the registry holds, as above.

    Returns:
        A deployment in the same form: `team/model@sha256:...`.

    Raises:
        LookupError: The registry has no image of that name; nothing is made up.
    """
    return deployment


def may_push(tag, digest, images):
    """Whether a tag of a repository may be pushed so that it points to this digest.

    A version, such as `1.4.0` or `2.0.1`, names the same image for ever. Any other tag (`latest`, `main`)
    moves.

    Args:
        tag: The tag.
        digest: What is to be pushed.
        images: What the repository holds, as above.
    """
    return True


def retention(images, running, keep=KEEP):
    """The digests that can be deleted.

    Kept is, in each repository: what runs; the last `keep` images or indexes that have a tag, by the time
    when they were made; and every image that a kept index names. All else goes.

    Args:
        images: What all repositories hold, as above.
        running: What runs, `team/model:1.4.0` or `team/model@sha256:...`.
        keep: How many of each repository are kept.

    Returns:
        `[{"repository": "team/model", "digest": "sha256:..."}, ...]`.
    """
    return []


def index(manifests):
    """An index of images, one for each platform, as it is pushed to the registry.

    Args:
        manifests: What the registry holds of each platform,
            `{"linux/amd64": {"mediaType": "...", "digest": "sha256:...", "size": 527}, ...}`.

    Returns:
        `{"schemaVersion": 2, "mediaType": INDEX, "manifests": [...]}`. Each of its manifests is one of those
        above with one entry more, `"platform": {"os": "linux", "architecture": "amd64"}`.
    """
    return {}
