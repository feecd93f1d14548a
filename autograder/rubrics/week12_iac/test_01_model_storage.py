"""Lab week12/model_storage: a bucket that keeps models for years, and a state that two people can share."""

import json
import uuid

import pytest
from botocore.exceptions import ClientError

from autograder.rubric import after, credit, needs, points, reading, require
from autograder.rubrics.week12_iac import buckets
from labkit.errors import WorkFault
from labkit.terraform import StateLocked

what_versions_cost = reading(
    "what_versions_cost",
    points=4,
    criteria=[
        (1, "the bucket lists one object, but every overwritten version is still stored and paid for"),
        (
            1,
            "with the seed's rule the curve goes on growing: it moves current versions, and deletes none",
        ),
        (2, "names the rule for noncurrent versions, and that the curve becomes flat after its days"),
    ],
)

BUCKET = "ml-model-artifacts"
STATE_BUCKET, LOCK_TABLE = "ml-terraform-state", "ml-terraform-locks"
MODEL, CHECKPOINT = "models/digits/3/model.onnx", "checkpoints/digits/0007.pt"


@pytest.fixture(scope="session")
def bucket(plan):
    found = [each for each in plan.of("aws_s3_bucket") if each["bucket"] == BUCKET]
    if not found:
        names = ", ".join(str(each["bucket"]) for each in plan.of("aws_s3_bucket")) or "none"
        raise WorkFault(f"The plan has no bucket {BUCKET}.", why=f"Buckets in it: {names}.")
    return found[0]


@pytest.fixture(scope="session")
def storage(stack):
    stack.applied  # noqa: B018
    return stack.client("s3")


@needs("cloud")
@points(
    2,
    hints=[
        "Begin with the seed's bucket: seed/main.tf, without its terraform block.",
        "terraform validate names the file and the line.",
        "versioning { enabled = true }",
    ],
)
def test_plans(plan, bucket):
    """plans the bucket, with versions"""
    versioning = buckets.first(bucket["versioning"])
    require(
        versioning.get("enabled") is True, f"{plan} Versioning is {buckets.on(versioning.get('enabled'))}"
    )


@needs("cloud")
@after("test_plans")
@points(
    3,
    hints=[
        "One lifecycle_rule for each prefix: what happens to a model must not happen to a checkpoint.",
        "transition moves the current version, expiration deletes it; for those that were overwritten there "
        "is noncurrent_version_expiration.",
        "A rule without a prefix holds for the whole bucket: abort_incomplete_multipart_upload_days = 7.",
    ],
)
def test_lifecycle(bucket):
    """lets each kind of object age as it should"""
    rules = buckets.rules(bucket)
    model, checkpoint = buckets.fate(rules, MODEL), buckets.fate(rules, CHECKPOINT)
    wanted = {
        "models move to STANDARD_IA after 30 days": model.transitions.get("STANDARD_IA") == 30,
        "models are never deleted": model.expires is None,
        "a model's overwritten versions go after 90 days": model.old_expire == 90,
        "checkpoints are deleted after 14 days": checkpoint.expires == 14,
        "uploads that were broken off go within 7 days": buckets.aborts(rules, MODEL, 7)
        and buckets.aborts(rules, CHECKPOINT, 7),
    }
    _credit(wanted)


@needs("cloud")
@after("test_plans")
@points(
    2,
    hints=[
        "Who may read a bucket is one question, what is on the disk another: both have an answer in main.tf.",
        "aws_s3_bucket_public_access_block has four switches; server_side_encryption_configuration is a "
        "block of the bucket.",
    ],
)
def test_private(plan, bucket):
    """is encrypted, and closed to the public whatever a policy says"""
    blocks = plan.of("aws_s3_bucket_public_access_block")
    switches = ("block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets")
    encryption = buckets.first(buckets.first(bucket["server_side_encryption_configuration"]).get("rule"))
    default = buckets.first(encryption.get("apply_server_side_encryption_by_default"))
    wanted = {
        **{name: any(each[name] is True for each in blocks) for name in switches},
        "encryption": default.get("sse_algorithm") in ("aws:kms", "AES256"),
    }
    _credit(wanted)


@needs("cloud")
@after("test_plans")
@points(
    1,
    hints=[
        "A backend block lies in the terraform block: backend.tf may have one of its own.",
        'backend "s3" takes bucket, key, region and encrypt.',
    ],
)
def test_remote_state(stack, storage):
    """keeps its state in the bucket for states, encrypted"""
    kept = storage.list_objects_v2(Bucket=STATE_BUCKET).get("Contents", [])
    require(bool(kept), f"{len(kept)} objects in {STATE_BUCKET}", cause="The state lies in a local file.")
    found = storage.head_object(Bucket=STATE_BUCKET, Key=kept[0]["Key"])
    secret = found.get("ServerSideEncryption")
    require(
        bool(secret),
        f"the state is {kept[0]['Key']}, {f'encrypted ({secret})' if secret else 'not encrypted'}",
    )


@needs("cloud")
@after("test_remote_state")
@points(
    2,
    hints=[
        "What if two of you apply at once? Terraform asks the backend for a lock, if it has one.",
        'use_lockfile = true, or dynamodb_table = "ml-terraform-locks".',
    ],
)
def test_locked(stack, storage):
    """refuses to plan while another command holds the state"""
    key = storage.list_objects_v2(Bucket=STATE_BUCKET)["Contents"][0]["Key"]
    lock = {
        "ID": str(uuid.uuid4()),
        "Operation": "OperationTypeApply",
        "Info": "",
        "Who": "colleague@elsewhere",
        "Version": "1.15.5",
        "Created": "2026-01-19T09:30:00Z",
        "Path": f"{STATE_BUCKET}/{key}",
    }
    table = stack.client("dynamodb")
    storage.put_object(Bucket=STATE_BUCKET, Key=f"{key}.tflock", Body=json.dumps(lock).encode())
    item = {"LockID": {"S": lock["Path"]}, "Info": {"S": json.dumps(lock)}}
    table.put_item(TableName=LOCK_TABLE, Item=item)
    try:
        stack.terraform.plan()
    except StateLocked as error:
        require(error.lock == lock["ID"], f"refused: {error.what}")
        return
    finally:
        storage.delete_object(Bucket=STATE_BUCKET, Key=f"{key}.tflock")
        table.delete_item(TableName=LOCK_TABLE, Key={"LockID": item["LockID"]})
    require(False, "it planned while a colleague's apply held the lock", cause="The backend has no lock.")


@needs("cloud")
@after("test_plans")
@points(
    2,
    hints=[
        "Does it apply? The check says what AWS answered.",
        "Resources that belong to the bucket refer to it: bucket = aws_s3_bucket.models.id.",
    ],
)
def test_live(storage):
    """gives back a model that was overwritten and deleted"""
    for text in (b"weights of monday", b"weights of tuesday"):
        storage.put_object(Bucket=BUCKET, Key=MODEL, Body=text)
    storage.delete_object(Bucket=BUCKET, Key=MODEL)
    versions = storage.list_object_versions(Bucket=BUCKET, Prefix=MODEL).get("Versions", [])
    texts = [
        storage.get_object(Bucket=BUCKET, Key=MODEL, VersionId=each["VersionId"])["Body"].read()
        for each in versions
    ]
    for each in (*versions, *storage.list_object_versions(Bucket=BUCKET).get("DeleteMarkers", [])):
        storage.delete_object(Bucket=BUCKET, Key=each["Key"], VersionId=each["VersionId"])
    require(b"weights of monday" in texts, f"{len(texts)} of 2 versions were there after a delete")


@needs("cloud")
@after("test_live")
@points(
    1,
    hints=[
        "A statement with Effect = Deny wins over every Allow.",
        'Condition = { Bool = { "aws:SecureTransport" = "false" } }, for the bucket and for what is in it.',
    ],
)
def test_encrypted_transport(storage):
    """answers nobody who asks without TLS"""
    try:
        policy = json.loads(storage.get_bucket_policy(Bucket=BUCKET)["Policy"])
    except ClientError as error:
        raise WorkFault("The bucket has no policy.", why=error.response["Error"]["Code"]) from error
    require(buckets.denies_plain_http(policy, BUCKET), "plain HTTP is denied for the bucket and its objects")


@needs("cloud")
@after("test_live")
@points(
    1,
    hints=[
        "Plan again after the apply: what does it want to change, and who changed it?",
        "A value that is another one at each run, such as timestamp(), is a change at each run.",
    ],
)
def test_second_plan(stack):
    """plans nothing when all is applied"""
    found = stack.second_plan
    differing = [f"{each.address} ({', '.join(each.differing)})" for each in found.changes]
    require(found.empty, "the second plan is empty" if found.empty else f"it would change {differing[0]}")


@needs("cloud")
@after("test_second_plan")
@points(
    1,
    hints=[
        "Somebody switches versioning off by hand. Would your next plan show it?",
        "ignore_changes tells Terraform to look away.",
    ],
)
def test_drift(stack, storage):
    """finds what somebody changed by hand, and sets it right"""
    off = {"Status": "Suspended"}
    storage.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration=off)
    found = stack.terraform.plan()
    seen = [each for each in found.changes if "versioning" in each.differing]
    require(bool(seen), f"{len(found.changes)} changes planned after versioning was switched off by hand")
    stack.terraform.apply(found)
    status = storage.get_bucket_versioning(Bucket=BUCKET)["Status"]
    require(status == "Enabled", f"versioning is {status} again after an apply")


@needs("cloud")
@after("test_live")
@points(
    1,
    hints=[
        "What does destroy do with a bucket that holds models? What should it do?",
        "Without force_destroy, AWS keeps a bucket that is not empty.",
    ],
)
def test_destroy(stack, storage, bucket):
    """leaves nothing when destroyed, and takes no model along"""
    require(not bucket["force_destroy"], f"force_destroy is {buckets.on(bucket['force_destroy'])}")
    stack.destroyed  # noqa: B018
    left = {each["Name"] for each in storage.list_buckets()["Buckets"]} - {STATE_BUCKET}
    keys = [
        each["KeyId"]
        for each in stack.client("kms").list_keys()["Keys"]
        if stack.client("kms").describe_key(KeyId=each["KeyId"])["KeyMetadata"]["KeyState"] == "Enabled"
    ]
    require(not left and not keys, f"{len(left)} buckets and {len(keys)} keys are left")


def _credit(wanted):
    """Credit for each of these that holds, naming those that don't."""
    missing = [name for name, holds in wanted.items() if not holds]
    right = len(wanted) - len(missing)
    credit(right, len(wanted), f"{right} of {len(wanted)} hold", cause=f"Missing: {'; '.join(missing)}.")
