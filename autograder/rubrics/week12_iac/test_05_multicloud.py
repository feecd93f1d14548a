"""Lab week12/multicloud: one interface, two clouds; a state in each; programs whose tests notice faults."""

import re
import secrets
import shutil

import pytest
from botocore.exceptions import ClientError

from autograder.fixtures import copy_work
from autograder.rubric import after, credit, needs, points, progress, reading, require
from autograder.rubrics.week12_iac import google
from autograder.rubrics.week12_iac.kept_states import backend_of, kept_in
from autograder.rubrics.week12_iac.planted_in_platform import FAULTS, SOUND
from autograder.stacks import Stack
from labkit.clouds.pulumi import PulumiPrograms
from labkit.course import find_course
from labkit.errors import WorkFault
from labkit.terraform import Terraform, hcl
from labkit.terraform.programs import refuse_programs
from labkit.terraform.shell import Shell

what_it_costs_to_move = reading(
    "what_it_costs_to_move",
    points=4,
    criteria=[
        (1, "reads from the plot which cloud is cheaper for the machine, and by how much"),
        (1, "with its date: prices change, and the same name is not the same machine"),
        (1, "what the interface hides, and what it can't: rights, networks, quotas, where the data lies"),
        (1, "a choice, with a reason that would change it"),
    ],
)

INTERFACE = {
    "name": "string",
    "region": "string",
    "gpu_nodes": "object({max=number,min=number})",
    "labels": "map(string)",
}
OUTPUTS = ("bucket_url", "cluster", "gpu_pool")
LABELS = {"team": "speech", "stage": "trial"}
ARGUMENTS = {"name": "speech", "gpu_nodes": {"min": 1, "max": 3}, "labels": LABELS}
CALLED = """\
provider "aws" {
  region = "us-east-1"
}

module "platform" {
  source    = "../modules/aws"
  name      = "speech"
  region    = "us-east-1"
  gpu_nodes = { min = 1, max = 3 }
  labels    = { team = "speech", stage = "trial" }
}

output "platform" {
  value = module.platform
}
"""
GPU_TYPES = re.compile(r"^(p[2-6]\w*|g[3-6]\w*)\.\w+$")


# ---- the interface ----------------------------------------------------------------------------------------


@points(
    2,
    hints=[
        "Whoever calls the module changes the source, and nothing else.",
        "Four variables with the types of the table, in both modules; three outputs of the same names.",
    ],
)
def test_interface(submitted):
    """has one interface for both clouds"""
    wrong = []
    for cloud in ("aws", "gcp"):
        blocks = hcl.blocks_of(submitted / "modules" / cloud)
        variables = {each.labels[0]: _type(each) for each in blocks if each.type == "variable"}
        outputs = {each.labels[0] for each in blocks if each.type == "output"}
        extra = {
            each.labels[0]
            for each in blocks
            if each.type == "variable" and each.labels[0] not in INTERFACE and "default" not in each.arguments
        }
        for name, kind in INTERFACE.items():
            if variables.get(name) != _type_text(kind):
                wrong.append(f"{cloud}: {name} is {variables.get(name, 'not there')}")
        wrong += [f"{cloud}: no output {name}" for name in OUTPUTS if name not in outputs]
        wrong += [f"{cloud}: nobody else asks for {name}" for name in sorted(extra)]
    count = 2 * (len(INTERFACE) + len(OUTPUTS))
    right = max(0, count - len(wrong))
    credit(right, count, f"{right} of {count} variables and outputs", cause="; ".join(wrong[:3]))


def _type(variable):
    return _type_text(variable.text("type"))


def _type_text(text):
    """A type without spaces, its attributes in alphabetical order."""
    members = re.search(r"\{(.*)\}", text, re.DOTALL)
    parts = sorted(re.findall(r"\w+\s*=\s*[\w().]+", members[1])) if members else []
    text = f"{text[: members.start()]}{{{' '.join(parts)}}}{text[members.end() :]}" if members else text
    return re.sub(r"\s+", "", text)


# ---- AWS --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def stack(submitted, scratch):
    """The learner's module for AWS as another team calls it, with a state of its own."""
    work = copy_work(submitted / "modules" / "aws", scratch / "called" / "modules" / "aws").parents[1]
    (work / "live").mkdir()
    (work / "live" / "main.tf").write_text(CALLED)
    with Stack(work, scratch, say=progress, root="live") as judged:
        yield judged


@needs("cloud")
@after("test_interface")
@points(
    3,
    hints=[
        'The roles and the subnets are in around.tf: aws_iam_role.platform["eks"], '
        "aws_subnet.platform[*].id.",
        "Names, numbers and labels come from the variables: somebody else calls it with other values.",
        "bucket_url is s3:// and the name of the bucket.",
    ],
)
def test_aws(stack):
    """makes the platform on AWS for another team, and a second plan is empty"""
    plan = stack.applied
    storage, eks = stack.client("s3"), stack.client("eks")
    bucket = next((each["bucket"] for each in plan.of("aws_s3_bucket")), None)
    require(bucket == "speech-models", f"{plan} The bucket is {bucket}")
    groups = plan.of("aws_eks_node_group")
    require(len(groups) == 1, f"{len(groups)} node groups")
    group = groups[0]
    scaling = (group["scaling_config"] or [{}])[0]
    tags = {each["Key"]: each["Value"] for each in _asked(storage.get_bucket_tagging, bucket, "TagSet", [])}
    access = _asked(storage.get_public_access_block, bucket, "PublicAccessBlockConfiguration", {})
    clusters = [eks.describe_cluster(name=each)["cluster"] for each in eks.list_clusters()["clusters"]]
    outputs = stack.terraform.outputs().get("platform") or {}
    wanted = {
        "the bucket keeps versions": storage.get_bucket_versioning(Bucket=bucket).get("Status") == "Enabled",
        "nobody opens the bucket": sum(access.values()) == 4,
        "the bucket carries the labels": LABELS.items() <= tags.items(),
        "the cluster is called speech": [each["name"] for each in clusters] == ["speech"],
        "the cluster carries the labels": all(LABELS.items() <= each["tags"].items() for each in clusters),
        "1 to 3 nodes": (scaling.get("min_size"), scaling.get("max_size")) == (1, 3),
        "nodes with a GPU": all(GPU_TYPES.match(each) for each in group["instance_types"] or [""]),
        "nodes carry the labels": LABELS.items() <= (group["labels"] or {}).items(),
        "the outputs are those of the interface": outputs
        == {"bucket_url": "s3://speech-models", "cluster": "speech", "gpu_pool": "gpu"},
        "the second plan is empty": stack.second_plan.empty,
    }
    _credit(wanted)


def _asked(ask, bucket, answer, without):
    """What a bucket says of itself; what stands for nothing if it says nothing."""
    try:
        return ask(Bucket=bucket)[answer]
    except ClientError:
        return without


# ---- Google Cloud -----------------------------------------------------------------------------------------


@points(
    3,
    hints=[
        "It is the same platform in the other cloud's own words: google_storage_bucket, "
        "google_container_cluster, google_container_node_pool.",
        "A bucket is closed by uniform_bucket_level_access and public_access_prevention; a cluster's own "
        "pool goes by remove_default_node_pool; a GPU is a guest_accelerator of node_config.",
        "In a region min_node_count counts the nodes of each zone, total_min_node_count all of them.",
    ],
)
def test_gcp(submitted):
    """says the same for Google Cloud, in its own words"""
    blocks = hcl.blocks_of(submitted / "modules" / "gcp")
    found = google.Written(blocks)
    strange = google.strangers(blocks) + _of_amazon(submitted / "modules" / "gcp")
    require(
        not strange, f"{len(strange)} words that Google Cloud does not know", cause="; ".join(strange[:3])
    )
    kinds = (google.BUCKET, google.CLUSTER, google.POOL)
    bucket, cluster, pool = (found.resource(kind) for kind in kinds)
    missing = [kind for kind, each in zip(kinds, (bucket, cluster, pool), strict=True) if each is None]
    require(not missing, f"{3 - len(missing)} of 3 resources", cause=f"Missing: {', '.join(missing)}.")
    scaling, config = google.inside(pool, "autoscaling"), google.inside(pool, "node_config")
    accelerator = google.inside(config, "guest_accelerator")
    text = found.text
    total = bool(text(scaling, "total_max_node_count"))
    least, most = (f"{'total_' * total}{end}_node_count" for end in ("min", "max"))
    location = text(pool, "location") or text(cluster, "location")
    zones = [each for each in text(pool, "node_locations").strip("[] ").split(",") if each.strip()]
    wanted = {
        "the bucket is called NAME-models": re.search(r"var\.name\b.*-models", text(bucket, "name")),
        "the bucket lies in the region": "var.region" in text(bucket, "location"),
        "the bucket keeps versions": text(google.inside(bucket, "versioning"), "enabled") == "true",
        "nobody opens single objects": text(bucket, "uniform_bucket_level_access") == "true",
        "nobody opens the bucket": text(bucket, "public_access_prevention") == "enforced",
        "the cluster is called NAME": text(cluster, "name") == "var.name",
        "the cluster begins with a pool": text(cluster, "initial_node_count") not in ("", "0"),
        "the cluster's own pool is removed": text(cluster, "remove_default_node_pool") == "true",
        "the pool belongs to the cluster": "google_container_cluster." in text(pool, "cluster"),
        "the pool is called gpu": text(pool, "name") == "gpu",
        "as few nodes as is said": text(scaling, least) == "var.gpu_nodes.min",
        "as many nodes as is said": text(scaling, most) == "var.gpu_nodes.max",
        "the limits count the nodes of all zones": google.counts_all(location, len(zones), total),
        "a GPU, and a machine that takes it": text(accelerator, "count") not in ("", "0")
        and google.takes(text(config, "machine_type"), text(accelerator, "type")),
        "labels on all three": all(
            "var.labels" in written
            for written in (
                text(bucket, "labels"),
                text(cluster, "resource_labels"),
                text(config, "labels"),
            )
        ),
        "the bucket's address begins with gs://": "gs://" in found.output("bucket_url"),
    }
    _credit(wanted)


def _of_amazon(folder):
    """The first word in a module's code that means something on AWS alone."""
    paths = sorted(path for path in folder.glob("*.tf") if path.is_file() and not path.is_symlink())
    texts = "\n".join(path.read_text(errors="replace") for path in paths)
    found = google.AMAZON.search(re.sub(r"(?m)(#|//).*$", "", texts))
    return [f"{found[0]} is Amazon's"] if found else []


@needs("google_provider")
@after("test_gcp")
@points(1, hints=["terraform validate says where, and what it wants there instead."])
def test_gcp_valid(submitted, scratch):
    """is valid for Google's own provider"""
    work = copy_work(submitted, scratch / "gcp")
    refuse_programs(work)
    with (
        Shell(work, log=scratch / "gcp.log", shown=Terraform.shown()) as shell,
        Terraform(work, say=progress, shell=shell, root="modules/gcp") as terraform,
    ):
        terraform.init(backend=False)
        errors = [each for each in terraform.validate() if each.severity == "error"]
    require(not errors, f"{len(errors)} errors", cause=str(errors[0]) if errors else "")


# ---- the states -------------------------------------------------------------------------------------------


@needs("cloud")
@points(
    2,
    hints=[
        "A backend block lies in the terraform block of backend.tf; each cloud has a backend of its own.",
        'backend "s3" as in lab 1, encrypted and with a lock; backend "gcs" takes bucket and prefix, and '
        "locks by itself.",
    ],
)
def test_states(submitted, scratch):
    """keeps a state in each cloud: in S3 with a lock, and in Google's store"""
    kept, flaws = {}, []
    for cloud in ("aws", "gcp"):
        try:
            kept[cloud] = kept_in(cloud, submitted, scratch)
        except WorkFault as error:
            kept[cloud] = []
            flaws.append(f"{cloud}: {error.what} {error.why}"[:150])
    backend = backend_of(submitted / "live" / "aws", "s3")
    wanted = {
        "AWS's state lies in S3": bool(kept["aws"]),
        "AWS's state has a lock": backend.text("use_lockfile") == "true"
        or bool(backend.text("dynamodb_table")),
        "AWS's state is encrypted": backend.text("encrypt") == "true",
        "Google's state lies in Google's store": bool(kept["gcp"]),
        "Google's state has a prefix of its own": bool(kept["gcp"]) and all("/" in n for n in kept["gcp"]),
    }
    _credit(wanted, "; ".join(flaws))


# ---- Pulumi -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def programs(submitted, scratch):
    """The learner's programs and tests, and copies of them with the program that was handed out, changed.

    No test can tell by its name which copy it looks at.
    """
    handout = next(lab for lab in find_course().labs if lab.name == submitted.name).handout / "pulumi"
    tree = scratch / "pulumi"
    copy_work(submitted / "pulumi", tree / "own")
    shutil.copyfile(handout / "declared.py", tree / "own" / "declared.py")
    variants = {**SOUND, **{each.name: (each,) for each in FAULTS}}
    names = {variant: secrets.token_hex(4) for variant in variants}
    for variant, faults in variants.items():
        copy = tree / names[variant]
        shutil.copytree(tree / "own", copy)
        shutil.copyfile(handout / "aws_platform.py", copy / "aws_platform.py")
        for fault in faults:
            fault.plant(copy)
    with PulumiPrograms(tree, log=scratch / "pulumi.log") as running:
        yield running, names


@needs("pulumi")
@points(
    2,
    hints=[
        "aws_platform.py is the example: the same three things, of pulumi_gcp.",
        "gcp.storage.Bucket, gcp.container.Cluster, gcp.container.NodePool: their arguments are those of "
        "Terraform's resources; a block that may stand there twice is a list, and has the plural's name.",
        "Without name=..., Pulumi makes a name of its own.",
    ],
)
def test_programs(programs):
    """declares the same platform for Google Cloud with Pulumi"""
    running, _ = programs
    found = running.declares("own/gcp_platform.py", ARGUMENTS)
    kinds = ("gcp:storage/bucket:Bucket", "gcp:container/cluster:Cluster", "gcp:container/nodePool:NodePool")
    missing = [kind.rpartition(":")[2] for kind in kinds if not found.of(kind)]
    require(not missing, f"{3 - len(missing)} of 3 resources", cause=f"Missing: {', '.join(missing)}.")
    bucket, cluster, pool = (found.of(kind)[0].inputs for kind in kinds)
    config, scaling = _mapping(pool.get("nodeConfig")), _mapping(pool.get("autoscaling"))
    accelerator = _mapping(next(iter(config.get("guestAccelerators") or [{}])))
    total = "totalMaxNodeCount" in scaling
    ends = ("totalMinNodeCount", "totalMaxNodeCount") if total else ("minNodeCount", "maxNodeCount")
    location = str(pool.get("location") or cluster.get("location"))
    wanted = {
        "the bucket is speech-models": bucket.get("name") == "speech-models",
        "it keeps versions": _mapping(bucket.get("versioning")).get("enabled") is True,
        "nobody opens it, or single objects": bucket.get("uniformBucketLevelAccess") is True
        and bucket.get("publicAccessPrevention") == "enforced",
        "the cluster is speech": cluster.get("name") == "speech",
        "its own pool is removed": cluster.get("removeDefaultNodePool") is True,
        "the pool is the cluster's": pool.get("cluster") in ("speech", "cluster-id"),
        "1 to 3 nodes, of all zones": tuple(scaling.get(end) for end in ends) == (1, 3)
        and google.counts_all(location, len(pool.get("nodeLocations") or []), total),
        "a GPU, and a machine that takes it": google.takes(
            str(config.get("machineType")), str(accelerator.get("type"))
        ),
        "labels on all three": all(
            LABELS.items() <= _mapping(each).items()
            for each in (bucket.get("labels"), cluster.get("resourceLabels"), config.get("labels"))
        ),
        "the outputs are those of the interface": found.outputs
        == {"bucket_url": "gs://speech-models", "cluster": "speech", "gpu_pool": "gpu"},
    }
    _credit(wanted)


def _mapping(found):
    return found if isinstance(found, dict) else {}


@needs("pulumi")
@points(
    3,
    hints=[
        'found.of("NodeGroup")[0].inputs is what the program says of its nodes, in Pulumi\'s own names.',
        "Call build with other values than the handed-out test does, and look for them.",
        "One test for each line of the table of promises; assert what is promised, not how it is written.",
    ],
)
def test_catches(programs):
    """has tests that pass on three sound programs for AWS, and notice each of twelve planted faults"""
    running, names = programs
    progress("the tests run on fifteen copies of the program", 20)
    tested = running.tested("test_aws_platform.py", list(names.values()))
    for variant in SOUND:
        found = tested[names[variant]]
        require(
            found.passed,
            f"the tests end with {found.code} on a sound program ({variant})",
            cause=found.said,
        )
    missed = [each.name for each in FAULTS if tested[names[each.name]].passed]
    count = len(FAULTS) - len(missed)
    nudge = f"One that slips through: {missed[0]}." if missed else ""
    credit(count, len(FAULTS), f"{count} of {len(FAULTS)} faults noticed", cause=nudge)


def _credit(wanted, more=""):
    missing = [name for name, holds in wanted.items() if not holds]
    right = len(wanted) - len(missing)
    cause = f"Missing: {'; '.join(missing[:4])}. {more}".strip()
    credit(right, len(wanted), f"{right} of {len(wanted)} hold", cause=cause)
