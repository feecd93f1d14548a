"""Lab week12/multicloud: one interface, two clouds; a state in each; programs whose tests notice faults."""

import re
import secrets
import shutil

import pytest

from autograder.fixtures import copy_work
from autograder.rubric import after, credit, needs, points, progress, reading, require
from autograder.rubrics.week12_iac import google
from autograder.rubrics.week12_iac.conftest import STATE_BUCKET, prepare
from autograder.rubrics.week12_iac.planted_in_platform import FAULTS, WRITTEN_OTHERWISE
from autograder.stacks import Stack
from labkit.clouds.google_storage import GoogleStorageBeside
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
    "gpu_nodes": "object({min=number,max=number})",
    "labels": "map(string)",
}
OUTPUTS = ("bucket_url", "cluster", "gpu_pool")
ARGUMENTS = {
    "name": "speech",
    "gpu_nodes": {"min": 1, "max": 3},
    "labels": {"team": "speech", "stage": "trial"},
}
CALLED = """\
provider "aws" {
  region = "us-east-1"
}

module "platform" {
  source    = "../../modules/aws"
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
    return re.sub(r"[\s,]+", "", text)


# ---- AWS --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def stack(submitted, scratch):
    """The learner's module for AWS as somebody else calls it, with the learner's own place for the state."""
    work = copy_work(submitted, scratch / "aws")
    refuse_programs(work)
    for path in (work / "live" / "aws").glob("*.tf"):
        if path.name != "backend.tf":
            path.unlink()
    (work / "live" / "aws" / "called.tf").write_text(CALLED)
    with Stack(work, scratch, say=progress, prepare=prepare, root="live/aws") as judged:
        yield judged


@needs("cloud")
@after("test_interface")
@points(
    3,
    hints=[
        'The roles and the subnets are in around.tf: aws_iam_role.platform["eks"], aws_subnet.platform[*].id.',
        "Names, numbers and labels come from the variables: somebody else calls the module with other values.",
        "bucket_url is s3:// and the name of the bucket.",
    ],
)
def test_aws(stack):
    """makes the platform on AWS for another team, and a second plan is empty"""
    plan = stack.applied
    second = stack.second_plan
    storage, eks = stack.client("s3"), stack.client("eks")
    bucket = next((each["bucket"] for each in plan.of("aws_s3_bucket")), None)
    require(bucket == "speech-models", f"{plan} The bucket is {bucket}")
    found = plan.of("aws_eks_node_group")
    require(len(found) == 1, f"{len(found)} node groups")
    group = found[0]
    tags = {each["Key"]: each["Value"] for each in _tags(storage, bucket)}
    scaling = (group["scaling_config"] or [{}])[0]
    labels = ARGUMENTS["labels"]
    outputs = stack.terraform.outputs().get("platform") or {}
    wanted = {
        "the bucket keeps versions": storage.get_bucket_versioning(Bucket=bucket).get("Status") == "Enabled",
        "the bucket carries the labels": labels.items() <= tags.items(),
        "the cluster is called speech": eks.list_clusters()["clusters"] == ["speech"],
        "1 to 3 nodes": (scaling.get("min_size"), scaling.get("max_size")) == (1, 3),
        "nodes with a GPU": all(GPU_TYPES.match(each) for each in group["instance_types"] or [""]),
        "nodes carry the labels": labels.items() <= (group["labels"] or {}).items(),
        "the outputs are those of the interface": outputs
        == {"bucket_url": "s3://speech-models", "cluster": "speech", "gpu_pool": "gpu"},
        "the second plan is empty": second.empty,
    }
    _credit(wanted)


def _tags(storage, bucket):
    from botocore.exceptions import ClientError

    try:
        return storage.get_bucket_tagging(Bucket=bucket)["TagSet"]
    except ClientError:
        return []


# ---- Google Cloud -----------------------------------------------------------------------------------------


@points(
    3,
    hints=[
        "It is the same platform in the other cloud's own words: google_storage_bucket, "
        "google_container_cluster, google_container_node_pool.",
        "A bucket is private by uniform_bucket_level_access; a cluster's own pool goes by "
        "remove_default_node_pool; a GPU is a guest_accelerator of node_config.",
        "autoscaling { min_node_count = var.gpu_nodes.min ... }, and labels are resource_labels on a cluster.",
    ],
)
def test_gcp(submitted):
    """says the same for Google Cloud, in its own words"""
    blocks = hcl.blocks_of(submitted / "modules" / "gcp")
    strange = google.strangers(blocks)
    texts = "\n".join(
        path.read_text(errors="replace") for path in (submitted / "modules" / "gcp").glob("*.tf")
    )
    code = re.sub(r"(?m)(#|//).*$", "", texts)
    strange += [f"{found[0]} is Amazon's" for found in [google.AMAZON.search(code)] if found]
    require(
        not strange, f"{len(strange)} words that Google Cloud does not know", cause="; ".join(strange[:3])
    )
    by_type = {each.labels[0]: each for each in blocks if each.type == "resource"}
    missing = [kind for kind in google.ARGUMENTS if kind not in by_type]
    require(
        not missing,
        f"{len(google.ARGUMENTS) - len(missing)} of 3 resources",
        cause=f"Missing: {', '.join(missing)}.",
    )
    bucket, cluster, pool = (by_type[kind] for kind in google.ARGUMENTS)
    scaling, config = _only(pool, "autoscaling"), _only(pool, "node_config")
    accelerator = _only(config, "guest_accelerator")
    outputs = {each.labels[0]: each.arguments.get("value", "") for each in blocks if each.type == "output"}
    wanted = {
        "the bucket is named for the platform": "var.name" in bucket.arguments.get("name", ""),
        "the bucket lies in the region": "var.region" in bucket.arguments.get("location", ""),
        "the bucket keeps versions": _only(bucket, "versioning").text("enabled") == "true",
        "nobody opens single objects": bucket.text("uniform_bucket_level_access") == "true",
        "the cluster is called as the platform": cluster.text("name") == "var.name",
        "the cluster's own pool is removed": cluster.text("remove_default_node_pool") == "true",
        "the pool belongs to the cluster": "google_container_cluster." in pool.arguments.get("cluster", ""),
        "the pool is called gpu": pool.text("name") == "gpu",
        "as few nodes as is said": scaling.text("min_node_count") == "var.gpu_nodes.min",
        "as many nodes as is said": scaling.text("max_node_count") == "var.gpu_nodes.max",
        "a GPU of NVIDIA": accelerator.text("type").startswith("nvidia-")
        and accelerator.text("count") != "0",
        "labels on all three": all(
            "var.labels" in written
            for written in (
                bucket.arguments.get("labels", ""),
                cluster.arguments.get("resource_labels", ""),
                config.arguments.get("labels", "") + config.arguments.get("resource_labels", ""),
            )
        ),
        "the bucket's address begins with gs://": "gs://" in outputs.get("bucket_url", ""),
    }
    _credit(wanted)


def _only(block, kind):
    found = block.of(kind)
    return found[0] if found else hcl.Block(kind, (), {}, (), 0)


@needs("google_provider")
@after("test_gcp")
@points(1, hints=["terraform validate says it, with the provider: `terraform providers mirror` fetches it."])
def test_gcp_valid(submitted, scratch):
    """is valid for Google's own provider"""
    work = copy_work(submitted, scratch / "gcp")
    refuse_programs(work)
    with Shell(work, log=scratch / "gcp.log", shown=Terraform.shown()) as shell:
        with Terraform(work, say=progress, shell=shell, root="modules/gcp") as terraform:
            terraform.init(backend=False)
            errors = [each for each in terraform.validate() if each.severity == "error"]
    require(not errors, f"{len(errors)} errors", cause=str(errors[0]) if errors else "")


# ---- the states -------------------------------------------------------------------------------------------


@needs("cloud")
@after("test_interface")
@points(
    2,
    hints=[
        "A backend block lies in the terraform block of backend.tf; each cloud has a backend of its own.",
        'backend "s3" as in lab 1, encrypted and with a lock; backend "gcs" takes bucket and prefix, and locks by '
        "itself.",
    ],
)
def test_states(submitted, scratch, stack):
    """keeps a state in each cloud: in S3 with a lock, and in Google's store"""
    stack.applied  # noqa: B018
    kept = stack.client("s3").list_objects_v2(Bucket=STATE_BUCKET).get("Contents", [])
    backend = _backend(submitted / "live" / "aws", "s3")
    locked = backend.text("use_lockfile") == "true" or bool(backend.text("dynamodb_table"))
    try:
        objects, why = _in_google(submitted, scratch), ""
    except WorkFault as error:
        objects, why = [], f"{error.what} {error.why}"
    wanted = {
        "AWS's state lies in S3": bool(kept),
        "AWS's state has a lock": locked,
        "AWS's state is encrypted": backend.text("encrypt") == "true",
        "Google's state lies in Google's store": any(name.endswith("default.tfstate") for name in objects),
        "Google's state has a prefix of its own": bool(objects) and all("/" in name for name in objects),
    }
    _credit(wanted, why[:200])


def _backend(folder, kind):
    for block in hcl.blocks_of(folder):
        for found in block.of("backend") if block.type == "terraform" else ():
            if found.labels == (kind,):
                return found
    return hcl.Block("backend", (kind,), {}, (), 0)


def _in_google(submitted, scratch):
    """What lies in the bucket for states when something was applied with the learner's backend."""
    folder = scratch / "in-google"
    folder.mkdir()
    shutil.copyfile(submitted / "live" / "gcp" / "backend.tf", folder / "backend.tf")
    refuse_programs(folder)
    (folder / "main.tf").write_text('resource "terraform_data" "platform" {\n  input = "speech"\n}\n')
    shown = [*Terraform.shown(), *GoogleStorageBeside.shown()]
    with Shell(folder, log=scratch / "in-google.log", shown=shown) as shell:
        store = GoogleStorageBeside(shell)
        store.up()
        try:
            store.make_bucket(STATE_BUCKET)
            with Terraform(folder, store, say=progress, shell=shell) as terraform:
                terraform.init()
                terraform.apply()
            return store.objects(STATE_BUCKET)
        finally:
            store.close()


# ---- Pulumi -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def programs(submitted, scratch):
    """The learner's programs and tests, with copies of the program that was handed out, sound and with faults."""
    handout = next(lab for lab in find_course().labs if lab.name == submitted.name).handout / "pulumi"
    tree = scratch / "pulumi"
    copy_work(submitted / "pulumi", tree / "own")
    shutil.copyfile(handout / "declared.py", tree / "own" / "declared.py")
    variants = {"sound": (), "otherwise": WRITTEN_OTHERWISE, **{each.name: (each,) for each in FAULTS}}
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
        "Terraform's resources.",
        "Without name=..., Pulumi makes a name of its own.",
    ],
)
def test_programs(programs):
    """declares the same platform for Google Cloud with Pulumi"""
    running, _ = programs
    found = running.declares("own/gcp_platform.py", ARGUMENTS)
    labels = ARGUMENTS["labels"]
    bucket, cluster, pool = (
        (found.of(kind) or [None])[0]
        for kind in (
            "gcp:storage/bucket:Bucket",
            "gcp:container/cluster:Cluster",
            "gcp:container/nodePool:NodePool",
        )
    )
    missing = [
        name for name, each in (("bucket", bucket), ("cluster", cluster), ("pool", pool)) if each is None
    ]
    require(not missing, f"{3 - len(missing)} of 3 resources", cause=f"Missing: {', '.join(missing)}.")
    config = pool.inputs.get("nodeConfig") or {}
    accelerators = config.get("guestAccelerators") or [{}]
    scaling = pool.inputs.get("autoscaling") or {}
    wanted = {
        "the bucket is speech-models": bucket.inputs.get("name") == "speech-models",
        "it keeps versions": (bucket.inputs.get("versioning") or {}).get("enabled") is True,
        "nobody opens single objects": bucket.inputs.get("uniformBucketLevelAccess") is True,
        "the cluster is speech": cluster.inputs.get("name") == "speech",
        "its own pool is removed": cluster.inputs.get("removeDefaultNodePool") is True,
        "the pool is the cluster's": pool.inputs.get("cluster") == "speech",
        "1 to 3 nodes": (scaling.get("minNodeCount"), scaling.get("maxNodeCount")) == (1, 3),
        "with a GPU of NVIDIA": str(accelerators[0].get("type")).startswith("nvidia-"),
        "labels on all three": all(
            labels.items() <= (each or {}).items()
            for each in (
                bucket.inputs.get("labels"),
                cluster.inputs.get("resourceLabels"),
                config.get("labels"),
            )
        ),
        "the outputs are those of the interface": found.outputs
        == {"bucket_url": "gs://speech-models", "cluster": "speech", "gpu_pool": "gpu"},
    }
    _credit(wanted)


@needs("pulumi")
@points(
    3,
    hints=[
        'found.of("NodeGroup")[0].inputs is what the program says of its nodes, in Pulumi\'s own names.',
        "Call build with other values than the handed-out test does, and look for them.",
        "Twelve faults: names, versions, access, address, sizes, taint, machine, image, zones, rights, labels.",
    ],
)
def test_catches(programs):
    """has tests that pass on the program for AWS, and notice each of twelve planted faults"""
    running, names = programs
    progress("the tests run on copies of the program", 20)
    tested = running.tested("test_aws_platform.py", list(names.values()))
    for variant in ("sound", "otherwise"):
        found = tested[names[variant]]
        require(found.passed, f"the tests end with {found.code} on a sound program", cause=found.said)
    missed = [each.name for each in FAULTS if tested[names[each.name]].code in (0, 5)]
    count = len(FAULTS) - len(missed)
    credit(
        count,
        len(FAULTS),
        f"{count} of {len(FAULTS)} faults noticed",
        cause=f"One that slips through: {missed[:1]}.",
    )


def _credit(wanted, more=""):
    missing = [name for name, holds in wanted.items() if not holds]
    right = len(wanted) - len(missing)
    cause = f"Missing: {'; '.join(missing)}. {more}".strip()
    credit(right, len(wanted), f"{right} of {len(wanted)} hold", cause=cause)
