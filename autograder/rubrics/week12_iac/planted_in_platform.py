"""What is planted in the Pulumi program of lab 5: faults that its promises forbid, and harmless changes."""

from labkit.terraform.planted import Fault

FILE = "aws_platform.py"

FAULTS = tuple(
    Fault(name, old, new, FILE)
    for name, old, new in (
        ("one name for every platform", 'bucket=f"{name}-models"', 'bucket="ml-models"'),
        ("no versions", '"Enabled"', '"Suspended"'),
        ("a bucket that a policy can open", "block_public_policy=True", "block_public_policy=False"),
        ("another address", '"s3://"', '"s3a://"'),
        ("as many nodes as ever", '"max_size": gpu_nodes["max"]', '"max_size": 10'),
        ("starts with all nodes", '"desired_size": gpu_nodes["min"]', '"desired_size": gpu_nodes["max"]'),
        ("anything runs on GPU nodes", '"NO_SCHEDULE"', '"PREFER_NO_SCHEDULE"'),
        ("nodes without a GPU", '["g5.xlarge"]', '["m5.xlarge"]'),
        ("an image without the driver", '"AL2023_x86_64_NVIDIA"', '"AL2023_x86_64_STANDARD"'),
        ("all nodes in one zone", 'availability_zone=f"{REGION}{zone}"', 'availability_zone=f"{REGION}a"'),
        ("nodes that may do anything", '"AmazonEC2ContainerRegistryReadOnly"', '"AdministratorAccess"'),
        ("a bucket without labels", 'bucket=f"{name}-models", tags=labels', 'bucket=f"{name}-models"'),
    )
)

WRITTEN_OTHERWISE = tuple(
    Fault(name, old, new, FILE)
    for name, old, new in (
        ("names inside", '"models", bucket=f"{name}-models"', '"artifacts", bucket=f"{name}-models"'),
        ("another network", 'cidr_block="10.40.0.0/16"', 'cidr_block="10.40.0.0/17"'),
        (
            "by another function",
            'pulumi.Output.concat("s3://", bucket.bucket)',
            'bucket.bucket.apply(lambda own: f"s3://{own}")',
        ),
        ("another comment", "It is complete: test it,", "Test it,"),
    )
)
"""The program keeps each of its promises with all of these."""
