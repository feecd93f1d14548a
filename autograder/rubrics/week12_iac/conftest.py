"""What the checks of week 12 share: the learner's configuration in an account of its own."""

import pytest

from autograder.rubric import measured_on, progress
from autograder.stacks import Stack
from labkit.verdicts import Tier

STATE_BUCKET = "ml-terraform-state"
LOCK_TABLE = "ml-terraform-locks"


def prepare(session):
    """What is in the account before the learner begins: a place for the state, and a table for its locks."""
    storage = session.client("s3")
    storage.create_bucket(Bucket=STATE_BUCKET)
    storage.put_bucket_versioning(Bucket=STATE_BUCKET, VersioningConfiguration={"Status": "Enabled"})
    session.client("dynamodb").create_table(
        TableName=LOCK_TABLE,
        KeySchema=[{"AttributeName": "LockID", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "LockID", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )


@pytest.fixture(autouse=True)
def _simulated():
    """No check here looks at a real account."""
    measured_on(Tier.SIMULATED)


@pytest.fixture(scope="session")
def stack(work, scratch):
    """The learner's configuration with a fresh account."""
    with Stack(work, scratch, say=progress, prepare=prepare) as judged:
        yield judged


@pytest.fixture(scope="session")
def plan(stack):
    """The plan for an empty account."""
    return stack.plan
