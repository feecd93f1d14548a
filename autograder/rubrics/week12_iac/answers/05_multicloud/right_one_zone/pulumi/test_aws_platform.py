"""The promises, one row each: what is looked at, and what it has to be."""

import aws_platform
import pytest
from declared import declared

ASKED = {"name": "nlp", "gpu_nodes": {"min": 0, "max": 7}, "labels": {"team": "nlp", "cost": "12"}}
FOUND = declared(aws_platform.build, **ASKED)


def only(kind):
    found = [each.inputs for each in FOUND.resources if each.type.endswith(f":{kind}")]
    assert len(found) == 1
    return found[0]


PROMISES = {
    "name": lambda: only("Bucket")["bucket"] == "nlp-models",
    "versions": lambda: only("BucketVersioning")["versioningConfiguration"]["status"] == "Enabled",
    "closed": lambda: [*only("BucketPublicAccessBlock").values()].count(True) == 4,
    "outputs": lambda: (
        FOUND.outputs == {"bucket_url": "s3://nlp-models", "cluster": "nlp", "gpu_pool": "gpu"}
    ),
    "least": lambda: only("NodeGroup")["scalingConfig"]["minSize"] == 0,
    "most": lambda: only("NodeGroup")["scalingConfig"]["maxSize"] == 7,
    "machine": lambda: only("NodeGroup")["instanceTypes"][0].startswith(("g4dn.", "g5.", "g6.")),
    "driver": lambda: "NVIDIA" in only("NodeGroup")["amiType"],
    "taint": lambda: (
        ("nvidia.com/gpu", "NO_SCHEDULE")
        in [(each["key"], each["effect"]) for each in only("NodeGroup")["taints"]]
    ),
    "labels": lambda: only("NodeGroup")["labels"] == ASKED["labels"],
    "zones": lambda: len({s.inputs["availabilityZone"] for s in FOUND.of("Subnet")}) == 2,
    "rights": lambda: (
        not any("Administrator" in s.inputs["policyArn"] for s in FOUND.of("RolePolicyAttachment"))
        and {s.inputs["policyArn"].rpartition("/")[2] for s in FOUND.of("RolePolicyAttachment")}
        == {name for names in aws_platform.POLICIES.values() for name in names}
    ),
}


@pytest.mark.parametrize("promise", PROMISES)
def test_a_promise_is_kept(promise):
    assert PROMISES[promise]()
