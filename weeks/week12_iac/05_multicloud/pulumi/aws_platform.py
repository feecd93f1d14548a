"""The platform on AWS, as a Pulumi program. It is complete: test it, and write the same for Google Cloud."""

import json

import pulumi
import pulumi_aws as aws

REGION = "us-east-1"
POLICIES = {
    "eks": ["AmazonEKSClusterPolicy"],
    "ec2": ["AmazonEKSWorkerNodePolicy", "AmazonEKS_CNI_Policy", "AmazonEC2ContainerRegistryReadOnly"],
}


def build(name: str, gpu_nodes: dict[str, int], labels: dict[str, str]) -> dict[str, pulumi.Output]:
    """Declare a bucket for models and a cluster with GPU nodes.

    Args:
        name: Of the platform.
        gpu_nodes: How many there may be, `min` and `max`.
        labels: On all that takes labels or tags.

    Returns:
        `bucket_url`, `cluster` and `gpu_pool`.
    """
    bucket = aws.s3.Bucket("models", bucket=f"{name}-models", tags=labels)
    aws.s3.BucketVersioning("models", bucket=bucket.id, versioning_configuration={"status": "Enabled"})
    aws.s3.BucketPublicAccessBlock(
        "models",
        bucket=bucket.id,
        block_public_acls=True,
        block_public_policy=True,
        ignore_public_acls=True,
        restrict_public_buckets=True,
    )
    network = aws.ec2.Vpc("platform", cidr_block="10.40.0.0/16", tags=labels)
    subnets = [
        aws.ec2.Subnet(
            f"platform-{zone}",
            vpc_id=network.id,
            availability_zone=f"{REGION}{zone}",
            cidr_block=f"10.40.{number}.0/24",
            tags=labels,
        )
        for number, zone in enumerate("ab")
    ]
    roles = {service: role(name, service, labels) for service in POLICIES}
    cluster = aws.eks.Cluster(
        "cluster",
        name=name,
        role_arn=roles["eks"].arn,
        vpc_config={"subnet_ids": [subnet.id for subnet in subnets]},
        tags=labels,
    )
    nodes = aws.eks.NodeGroup(
        "gpu",
        cluster_name=cluster.name,
        node_group_name="gpu",
        node_role_arn=roles["ec2"].arn,
        subnet_ids=[subnet.id for subnet in subnets],
        instance_types=["g5.xlarge"],
        ami_type="AL2023_x86_64_NVIDIA",
        scaling_config={
            "min_size": gpu_nodes["min"],
            "max_size": gpu_nodes["max"],
            "desired_size": gpu_nodes["min"],
        },
        taints=[{"key": "nvidia.com/gpu", "value": "true", "effect": "NO_SCHEDULE"}],
        labels=labels,
        tags=labels,
    )
    return {
        "bucket_url": pulumi.Output.concat("s3://", bucket.bucket),
        "cluster": cluster.name,
        "gpu_pool": nodes.node_group_name,
    }


def role(name: str, service: str, labels: dict[str, str]) -> aws.iam.Role:
    """A role that one service may act as, with what it needs and no more."""
    made = aws.iam.Role(
        service,
        name=f"{name}-{service}",
        assume_role_policy=json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Action": "sts:AssumeRole",
                        "Principal": {"Service": f"{service}.amazonaws.com"},
                    }
                ],
            }
        ),
        tags=labels,
    )
    for policy in POLICIES[service]:
        aws.iam.RolePolicyAttachment(policy, role=made.name, policy_arn=f"arn:aws:iam::aws:policy/{policy}")
    return made
