"""What is planted in the Pulumi program of lab 5: faults that its promises forbid, and harmless changes."""

from labkit.terraform.planted import Fault

FILE = "aws_platform.py"


def _fault(name: str, old: str, new: str) -> Fault:
    return Fault(name, old, new, FILE)


FAULTS = (
    _fault("one bucket for all platforms", 'bucket=f"{name}-models"', 'bucket="vision-models"'),
    _fault("no versions", '"status": "Enabled"', '"status": "Suspended"'),
    _fault("one switch of four is off", "restrict_public_buckets=True", "restrict_public_buckets=False"),
    _fault("an address that no client of S3 reads", '"s3://"', '"https://"'),
    _fault("never without a node", '"min_size": gpu_nodes["min"]', '"min_size": 1'),
    _fault("four nodes and no more", '"max_size": gpu_nodes["max"]', '"max_size": 4'),
    _fault("anything may run on the dear nodes", '"NO_SCHEDULE"', '"PREFER_NO_SCHEDULE"'),
    _fault("a machine without a GPU", '"g5.xlarge"', '"m5.xlarge"'),
    _fault("an image without the driver", '"AL2023_x86_64_NVIDIA"', '"AL2023_x86_64_STANDARD"'),
    _fault("two subnets in one zone", 'f"{REGION}{zone}"', 'f"{REGION}a"'),
    _fault("nodes may do anything", '"AmazonEKS_CNI_Policy"', '"AdministratorAccess"'),
    _fault("nodes without the labels", "        labels=labels,\n", "        labels={},\n"),
)

SOUND = {
    "as it was handed out": (),
    "in other words": (
        _fault("the name by another function", 'f"{name}-models"', '"-".join([name, "models"])'),
        _fault("a newer machine with a GPU", '"g5.xlarge"', '"g6.xlarge"'),
        _fault("other words for the address", 'Output.concat("s3://", ', 'Output.format("s3://{0}", '),
    ),
    "elsewhere": (
        _fault("two other zones", 'enumerate("ab")', 'enumerate("bc")'),
        _fault("another network", '"10.40.0.0/16"', '"10.60.0.0/16"'),
        _fault("its subnets", 'f"10.40.{number}.0/24"', 'f"10.60.{number}.0/24"'),
        _fault("another name in the program", '"models", bucket=f', '"weights", bucket=f'),
    ),
}
"""Programs that keep each of the promises: a test that fails on one asks for too much.

Each has something that no other copy has, as every fault is: who compares the copies learns nothing.
"""
