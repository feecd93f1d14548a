"""The platform on Google Cloud, as a Pulumi program."""

import pulumi
import pulumi_gcp as gcp

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
    bucket = gcp.storage.Bucket(
        "models",
        name=f"{name}-models",
        location=REGION,
        labels=labels,
        uniform_bucket_level_access=True,
        public_access_prevention="enforced",
        versioning={"enabled": True},
    )
    cluster = gcp.container.Cluster(
        "cluster",
        name=name,
        location=REGION,
        resource_labels=labels,
        initial_node_count=1,
        remove_default_node_pool=True,
        deletion_protection=False,
    )
    nodes = gcp.container.NodePool(
        "gpu",
        name="gpu",
        cluster=cluster.name,
        location=REGION,
        autoscaling={
            "total_min_node_count": gpu_nodes["min"],
            "total_max_node_count": gpu_nodes["max"],
            "location_policy": "ANY",
        },
        node_config={
            "machine_type": "g2-standard-4",
            "labels": labels,
            "guest_accelerators": [{"type": "nvidia-l4", "count": 1}],
        },
    )
    return {
        "bucket_url": pulumi.Output.concat("gs://", bucket.name),
        "cluster": cluster.name,
        "gpu_pool": nodes.name,
    }
