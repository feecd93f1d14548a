"""The platform on Google Cloud, as a Pulumi program: write it here."""

import pulumi
import pulumi_gcp as gcp  # noqa: F401 (used by what you write)

REGION = "us-central1"


def build(name: str, gpu_nodes: dict[str, int], labels: dict[str, str]) -> dict[str, pulumi.Output]:
    """Declare a bucket for models and a cluster with GPU nodes.

    Args:
        name: Of the platform.
        gpu_nodes: How many there may be, `min` and `max`.
        labels: On all that takes labels.

    Returns:
        `bucket_url`, `cluster` and `gpu_pool`.
    """
    raise NotImplementedError
