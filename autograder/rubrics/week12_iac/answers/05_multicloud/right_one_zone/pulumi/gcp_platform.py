"""The platform on Google Cloud, in one zone."""

import pulumi
from pulumi_gcp import container, storage

ZONE = "us-central1-a"
GPU = container.NodePoolNodeConfigGuestAcceleratorArgs(type="nvidia-tesla-t4", count=1)


def build(name: str, gpu_nodes: dict[str, int], labels: dict[str, str]) -> dict[str, pulumi.Output]:
    """Declare a bucket for models and a cluster with GPU nodes."""
    models = storage.Bucket(
        "bucket",
        storage.BucketArgs(
            name=name + "-models",
            location="US-CENTRAL1",
            labels=labels,
            versioning=storage.BucketVersioningArgs(enabled=True),
            uniform_bucket_level_access=True,
            public_access_prevention="enforced",
        ),
    )
    cluster = container.Cluster(
        "platform",
        name=name,
        location=ZONE,
        remove_default_node_pool=True,
        initial_node_count=1,
        resource_labels=labels,
    )
    config = container.NodePoolNodeConfigArgs(
        machine_type="n1-standard-8", labels=labels, guest_accelerators=[GPU]
    )
    pool = container.NodePool(
        "nodes",
        name="gpu",
        cluster=cluster.name,
        location=ZONE,
        autoscaling=container.NodePoolAutoscalingArgs(
            min_node_count=gpu_nodes["min"], max_node_count=gpu_nodes["max"]
        ),
        node_config=config,
    )
    return {
        "bucket_url": models.name.apply(lambda each: f"gs://{each}"),
        "cluster": cluster.name,
        "gpu_pool": pool.name,
    }
