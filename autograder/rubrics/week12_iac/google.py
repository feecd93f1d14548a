"""What Google Cloud knows of a bucket, a cluster and its nodes: to judge what can't be planned here.

Source of the machines: https://cloud.google.com/compute/docs/gpus
"""

import re
import tomllib
from pathlib import Path

from labkit.terraform import hcl

_KNOWN = {
    kind: set(names.split())
    for kind, names in tomllib.loads(Path(__file__).with_name("google_arguments.toml").read_text()).items()
}
BUCKET, CLUSTER, POOL = "google_storage_bucket", "google_container_cluster", "google_container_node_pool"
_TERRAFORM = {"count", "for_each", "depends_on", "lifecycle", "provider", "timeouts", "dynamic"}

AMAZON = re.compile(r"\baws_|amazonaws|\barn:|us-east-1|STANDARD_IA|\b[cgmprt]\d\w*\.\d*x?large|NVIDIA\b|AL2")
"""What has no meaning on Google Cloud."""

MACHINES = {
    "nvidia-tesla-t4": "n1-",
    "nvidia-tesla-p4": "n1-",
    "nvidia-tesla-p100": "n1-",
    "nvidia-tesla-v100": "n1-",
    "nvidia-l4": "g2-",
    "nvidia-tesla-a100": "a2-highgpu-",
    "nvidia-a100-80gb": "a2-ultragpu-",
    "nvidia-h100-80gb": "a3-",
    "nvidia-h100-mega-80gb": "a3-megagpu-",
}
"""The machines that take a GPU, by how their names begin: all others refuse it."""

_REGION = re.compile(r"var\.region|[a-z]+-[a-z]+\d+")


class Written:
    """What stands in a module's blocks, with its locals put in their place.

    Args:
        blocks: The module's.
    """

    def __init__(self, blocks):
        self.blocks = blocks
        self._locals = {
            name: text for b in blocks if b.type == "locals" for name, text in b.arguments.items()
        }

    def resource(self, kind):
        """The first resource of that type; None if there is none."""
        return next((b for b in self.blocks if b.type == "resource" and b.labels[0] == kind), None)

    def text(self, block, argument):
        """What an argument of a block is set to, as it is written, without quotes; empty if it is not set."""
        said = block.text(argument) if block else ""
        for _ in range(5):
            said = re.sub(r"\blocal\.(\w+)", lambda found: self._locals.get(found[1], found[0]), said)
        if said.startswith('"') and said.endswith('"') and "${" not in said:
            said = said[1:-1]
        said = re.sub(r'\["(\w+)"\]', r".\1", said)
        alone = re.fullmatch(r'"\$\{\s*([^}"]*?)\s*\}"', said)
        return alone[1] if alone else said

    def output(self, name):
        """What an output is set to."""
        found = next((b for b in self.blocks if b.type == "output" and b.labels == (name,)), None)
        return self.text(found, "value")


def inside(block, kind):
    """The first block of that type in a block; None if there is none."""
    return next(iter(block.of(kind)), None) if block else None


def takes(machine, accelerator):
    """Whether a type of machine takes that GPU."""
    return accelerator in MACHINES and machine.startswith(MACHINES[accelerator])


def counts_all(location, zones, total):
    """Whether a pool's limits count all of its nodes: those of one zone, or those that say that they do.

    Args:
        location: Of the pool: a region has nodes in each of its zones.
        zones: How many zones are named; 0 if none is.
        total: Whether the limits are for all zones together.
    """
    return total or zones == 1 or not _REGION.fullmatch(location)


def strangers(blocks):
    """What in these blocks no provider of Google's knows: types, and arguments of the three resources."""
    found = []
    for each in blocks:
        if each.type not in ("resource", "data"):
            continue
        kind = each.labels[0]
        if not kind.startswith("google_"):
            found.append(f"{kind} is nothing of Google's")
        elif each.type == "resource" and kind in _KNOWN:
            found += [f"{kind} has no {name}" for name in _unknown(each, _KNOWN[kind])]
            for config in each.of("node_config"):
                found += [f"node_config has no {name}" for name in _unknown(config, _KNOWN["node_config"])]
    return found


def _unknown(block: hcl.Block, known):
    set_there = {*block.arguments, *(each.type for each in block.blocks)}
    return sorted(set_there - known - _TERRAFORM)
