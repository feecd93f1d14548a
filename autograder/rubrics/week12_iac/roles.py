"""What roles may do, read from planned policies."""

import json

NEEDED = {
    "cluster": {"AmazonEKSClusterPolicy", "AmazonEKSVPCResourceController"},
    "nodes": {
        "AmazonEKSWorkerNodePolicy",
        "AmazonEKS_CNI_Policy",
        "AmazonEC2ContainerRegistryReadOnly",
        "AmazonEC2ContainerRegistryPullOnly",
        "AmazonSSMManagedInstanceCore",
        "CloudWatchAgentServerPolicy",
    },
}
"""Managed policies that a cluster and its nodes have a use for."""


def wildcards(plan):
    """What is too wide in policies of their own: each as `address: what`."""
    found = []
    for kind in ("aws_iam_role_policy", "aws_iam_policy"):
        for each in plan.of(kind):
            for statement in _statements(each["policy"]):
                if statement.get("Effect", "Allow") != "Allow":
                    continue
                actions, resources = _listed(statement.get("Action")), _listed(statement.get("Resource"))
                wide = [action for action in actions if action.endswith("*")]
                found += [f"{each.address} allows {action}" for action in wide]
                if "NotAction" in statement or ("*" in resources and not _reads_only(actions)):
                    found.append(f"{each.address} is for every resource")
    return found


def needless(plan):
    """Managed policies that are attached and that neither a cluster nor its nodes need."""
    useful = NEEDED["cluster"] | NEEDED["nodes"]
    attached = [str(each["policy_arn"] or "") for each in plan.of("aws_iam_role_policy_attachment")]
    attached += [str(arn) for role in plan.of("aws_iam_role") for arn in role["managed_policy_arns"] or []]
    names = [arn.rsplit("/", 1)[-1] for arn in attached if ":aws:policy/" in arn]
    return sorted({name for name in names if name not in useful})


def _reads_only(actions):
    """Actions such as ec2:DescribeInstances know no single resource."""
    verbs = [action.partition(":")[2] for action in actions]
    return bool(verbs) and all(
        verb.startswith(("Describe", "List", "GetAuthorizationToken")) for verb in verbs
    )


def _statements(policy):
    try:
        statements = json.loads(policy or "{}").get("Statement", [])
    except ValueError:
        return []
    return statements if isinstance(statements, list) else [statements]


def _listed(value):
    return value if isinstance(value, list) else [] if value is None else [value]
