"""Tests of the platform on AWS: each of its promises, for a team that nobody thought of."""

import aws_platform
import pytest
from declared import declared

LABELS = {"team": "radar", "stage": "trial"}
MANAGED = "arn:aws:iam::aws:policy/"


@pytest.fixture(scope="module")
def platform():
    return declared(aws_platform.build, name="radar", gpu_nodes={"min": 2, "max": 9}, labels=LABELS)


@pytest.fixture
def nodes(platform):
    (found,) = platform.of("NodeGroup")
    return found.inputs


def test_the_bucket_is_named_for_the_platform(platform):
    (bucket,) = platform.of("Bucket")
    assert bucket.inputs["bucket"] == "radar-models"


def test_the_bucket_keeps_versions(platform):
    (versions,) = platform.of("BucketVersioning")
    assert versions.inputs["versioningConfiguration"] == {"status": "Enabled"}


def test_nobody_can_open_the_bucket(platform):
    (block,) = platform.of("BucketPublicAccessBlock")
    switches = {name: value for name, value in block.inputs.items() if name != "bucket"}
    assert len(switches) == 4
    assert all(switches.values())


def test_the_outputs_are_those_of_the_interface(platform):
    assert platform.outputs == {"bucket_url": "s3://radar-models", "cluster": "radar", "gpu_pool": "gpu"}


def test_nodes_scale_between_the_callers_numbers(nodes):
    assert (nodes["scalingConfig"]["minSize"], nodes["scalingConfig"]["maxSize"]) == (2, 9)


def test_nodes_have_a_gpu_and_its_driver(nodes):
    assert all(each.split(".")[0] in ("g4dn", "g5", "g6") for each in nodes["instanceTypes"])
    assert nodes["amiType"].endswith("_NVIDIA")


def test_nodes_are_for_those_who_ask_for_a_gpu(nodes):
    assert [(each["key"], each["effect"]) for each in nodes["taints"]] == [("nvidia.com/gpu", "NO_SCHEDULE")]


def test_nodes_carry_the_labels(nodes):
    assert LABELS.items() <= nodes["labels"].items()
    assert LABELS.items() <= nodes["tags"].items()


def test_the_platform_lies_in_two_zones(platform):
    assert len({each.inputs["availabilityZone"] for each in platform.of("Subnet")}) == 2


def test_roles_may_do_what_they_must_and_no_more(platform):
    given = {each.inputs["policyArn"].removeprefix(MANAGED) for each in platform.of("RolePolicyAttachment")}
    nodes = {"AmazonEKSWorkerNodePolicy", "AmazonEKS_CNI_Policy", "AmazonEC2ContainerRegistryReadOnly"}
    assert given == {"AmazonEKSClusterPolicy"} | nodes


def test_the_machine_is_the_one_that_was_chosen(nodes):
    assert nodes["instanceTypes"] == ["g5.xlarge"]


def test_the_network_is_the_one_that_was_chosen(platform):
    (network,) = platform.of("Vpc")
    assert network.inputs["cidrBlock"] == "10.40.0.0/16"
