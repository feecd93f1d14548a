"""Lab week12/gpu_cluster: GPU nodes that scale, that only training uses, and that may do what they must."""

import base64
import re

import pytest

from autograder.rubric import after, credit, needs, points, reading, require
from autograder.rubrics.week12_iac import roles
from labkit.errors import WorkFault

what_waited = reading(
    "what_waited",
    points=4,
    criteria=[
        (1, "resources without a reference to each other are made at the same time: roles, network"),
        (2, "names two that waited, and the reference: the cluster for its role and the subnets, the policy"),
        (1, "an order that no reference says (the policies before the nodes) has to be said: depends_on"),
    ],
)

GPU_TYPES = re.compile(r"^(p[2-6]\w*|g[3-6]\w*)\.\w+$")
TAINT = re.compile(r"--register-with-taints=[\"']?nvidia\.com/gpu=\w+:NoSchedule")
ACCOUNT = re.compile(r"(?<![\w-])\d{12}(?![\w-])")


@pytest.fixture(scope="session")
def group(plan):
    found = plan.of("aws_eks_node_group")
    if len(found) != 1 or len(plan.of("aws_eks_cluster")) != 1:
        raise WorkFault(
            f"The plan has {len(plan.of('aws_eks_cluster'))} clusters and {len(found)} node groups.",
            next_step="There should be one of each.",
        )
    return found[0]


@needs("cloud")
@points(
    2,
    hints=[
        "terraform validate names what is missing in the seed, one thing after another.",
        "A node group needs a cluster to be in, a role to act as, and subnets to be placed in.",
        "An assume_role_policy says who may act as a role: eks.amazonaws.com for the cluster, "
        "ec2.amazonaws.com for the nodes.",
    ],
)
def test_valid(stack, plan, group):
    """is valid, and plans a cluster with one group of nodes"""
    names = [each["name"] for each in plan.of("aws_eks_cluster")]
    require(names == ["ml-cluster"], f"{plan} The cluster is {names[0]}")
    require(group["node_group_name"] == "gpu-nodes", f"its nodes are {group['node_group_name']}")


@needs("cloud")
@after("test_valid")
@points(2, hints=["The seed has the three numbers.", "min_size <= desired_size <= max_size: 1, 2, 10."])
def test_scaling(group):
    """runs two nodes, at least one, at most ten"""
    scaling = (group["scaling_config"] or [{}])[0]
    numbers = tuple(scaling.get(name) for name in ("min_size", "desired_size", "max_size"))
    require(numbers == (1, 2, 10), f"{numbers[0]} to {numbers[2]} nodes, {numbers[1]} to begin with")


@needs("cloud")
@after("test_valid")
@points(
    3,
    hints=[
        "A machine with a GPU and an image without its driver is a dear machine without a GPU.",
        'ami_type = "AL2_x86_64_GPU"',
        "The labels of the seed are what a training job's nodeSelector asks for.",
    ],
)
def test_gpu_nodes(group):
    """has GPUs, the image with their driver, and the labels that jobs ask for"""
    types, labels = group["instance_types"] or [], group["labels"] or {}
    wanted = {
        "a GPU machine": bool(types) and all(GPU_TYPES.match(each) for each in types),
        "the GPU image": "GPU" in str(group["ami_type"]) or "NVIDIA" in str(group["ami_type"]),
        "the label workload=ml-training": labels.get("workload") == "ml-training",
        "the label gpu=true": labels.get("gpu") == "true",
    }
    _credit(wanted)


@needs("cloud")
@after("test_valid")
@points(
    2,
    hints=[
        "What keeps a web server off a node that costs 3 dollars an hour? Labels invite; a taint keeps out.",
        "This provider's node groups have no taint block yet: the node's kubelet can taint it when it joins. "
        "The notebook shows the user data for it.",
        "aws_launch_template with user_data = base64encode(...), and a launch_template block in the group.",
    ],
)
def test_tainted(plan, group):
    """keeps off what asks for no GPU"""
    blocks = [each for each in group["taint"] or [] if each.get("key") == "nvidia.com/gpu"]
    used = bool(group["launch_template"])
    scripts = [_decoded(each["user_data"]) for each in plan.of("aws_launch_template")] if used else []
    tainted = any(TAINT.search(script) for script in scripts) or bool(blocks)
    require(tainted, "nvidia.com/gpu:NoSchedule" if tainted else "no taint nvidia.com/gpu with NoSchedule")


@needs("cloud")
@after("test_valid")
@points(
    3,
    hints=[
        "What could somebody do who broke into a training job? All that the nodes' role may do.",
        "Three managed policies are enough for nodes; what training needs beyond is a policy of your own.",
        "s3:GetObject and s3:PutObject for arn:aws:s3:::ml-model-artifacts/*, s3:ListBucket for the bucket.",
    ],
)
def test_least_privilege(plan):
    """may do what it must, and no more"""
    needless, wide = roles.needless(plan), roles.wildcards(plan)
    own = [each for kind in ("aws_iam_role_policy", "aws_iam_policy") for each in plan.of(kind)]
    reaches = any("ml-model-artifacts/*" in str(each["policy"]) for each in own)
    wanted = {
        "only managed policies that are needed": not needless,
        "no wildcard in a policy of your own": not wide,
        "reads and writes the models": reaches,
    }
    _credit(wanted, "; ".join([*needless, *wide])[:200])


@needs("cloud")
@after("test_valid")
@points(
    1,
    hints=[
        "Could a colleague apply this to the test account?",
        'data "aws_caller_identity" and references know the number; the text need not.',
    ],
)
def test_any_account(submitted):
    """names no account: what works here works in the next one"""
    lines = [
        f"{path.name} line {number}"
        for path in sorted(submitted.rglob("*.tf"))
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if ACCOUNT.search(line)
    ]
    require(not lines, f"{len(lines)} account numbers in the files", cause=", ".join(lines))


@needs("cloud")
@after("test_valid")
@points(1, hints=["A zone can fail, or be out of p3 machines.", "subnet_ids = aws_subnet.training[*].id"])
def test_spread(stack, group):
    """spreads the nodes over two zones"""
    stack.applied  # noqa: B018
    found = stack.client("eks").describe_nodegroup(clusterName="ml-cluster", nodegroupName="gpu-nodes")
    subnets = stack.client("ec2").describe_subnets(SubnetIds=found["nodegroup"]["subnets"])["Subnets"]
    zones = sorted({each["AvailabilityZone"] for each in subnets})
    require(len(zones) >= 2, f"nodes in {', '.join(zones)}")


@needs("cloud")
@after("test_valid")
@points(1, hints=["What does the second plan want to change? A value that differs at every run, perhaps."])
def test_stays(stack):
    """applies, and a second plan is empty"""
    found = stack.second_plan
    differing = [f"{each.address} ({', '.join(each.differing)})" for each in found.changes]
    require(found.empty, "the second plan is empty" if found.empty else f"it would change {differing[0]}")


@needs("cloud")
@after("test_valid")
@points(1, hints=["Does anything refuse to be destroyed? Who would pay for it?"])
def test_destroy(stack):
    """leaves nothing when destroyed"""
    stack.destroyed  # noqa: B018
    left = {
        "clusters": stack.client("eks").list_clusters()["clusters"],
        "roles": stack.client("iam").list_roles()["Roles"],
        "networks": [each for each in stack.client("ec2").describe_vpcs()["Vpcs"] if not each["IsDefault"]],
    }
    words = ", ".join(f"{len(found)} {name}" for name, found in left.items())
    require(not any(left.values()), f"{words} are left")


def _decoded(text):
    try:
        return base64.b64decode(text or "", validate=True).decode(errors="replace")
    except ValueError:
        return str(text)


def _credit(wanted, more=""):
    missing = [name for name, holds in wanted.items() if not holds]
    right = len(wanted) - len(missing)
    cause = f"Missing: {'; '.join(missing)}. {more}".strip()
    credit(right, len(wanted), f"{right} of {len(wanted)} hold", cause=cause)
