"""Records the plans by which lab 4's `drift.py` is judged.

Start it with `python -m autograder.rubrics.week12_iac.record_plans`.

Each is of a real configuration in an emulated account, after a change by hand, in the files, or both. What
belongs where is written down here, from what was done, never worked out from the plan.
"""

import json
import sys
import tempfile
from pathlib import Path

from labkit.clouds.emulated import EmulatedCloud
from labkit.terraform import Terraform

CONFIGURATION = """\
terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 3.39"
    }
  }
}

provider "aws" {
  region = "us-east-1"
}

variable "days" {
  default = 14
}

variable "queues" {
  default = 1
}

resource "aws_s3_bucket" "models" {
  bucket = "vision-models"

  versioning {
    enabled = true
  }

  lifecycle_rule {
    id      = "checkpoints"
    enabled = true
    prefix  = "checkpoints/"

    expiration {
      days = var.days
    }
  }
}

resource "aws_s3_bucket_public_access_block" "models" {
  bucket            = aws_s3_bucket.models.id
  block_public_acls = true
}

resource "aws_sqs_queue" "jobs" {
  count                      = var.queues
  name                       = "jobs-${count.index}"
  visibility_timeout_seconds = 60
}

# Another program counts in this tag.
resource "aws_sns_topic" "alerts" {
  name = "alerts"

  lifecycle {
    ignore_changes = [tags, tags_all]
  }
}
"""
BUCKET, BLOCK = "aws_s3_bucket.models", "aws_s3_bucket_public_access_block.models"


def main(target: Path) -> None:
    """Make the account, and record one plan after another."""
    with tempfile.TemporaryDirectory() as scratch:
        cloud = EmulatedCloud(Path(scratch) / "cloud")
        folder = Path(scratch) / "stack"
        folder.mkdir()
        (folder / "main.tf").write_text(CONFIGURATION)
        cloud.up()
        try:
            with Terraform(folder, cloud) as terraform:
                terraform.init()
                terraform.apply()
                _record(terraform, cloud.session(), target)
        finally:
            cloud.down(purge=True)


def _record(terraform, session, target):
    storage, queues, topics = session.client("s3"), session.client("sqs"), session.client("sns")

    def versions(status):
        settings = {"Status": status}
        storage.put_bucket_versioning(Bucket="vision-models", VersioningConfiguration=settings)

    def visible(seconds):
        url = queues.get_queue_url(QueueName="jobs-0")["QueueUrl"]
        queues.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": str(seconds)})

    def keep(name, by_hand=(), planned=(), **variables):
        plan = terraform.plan(variables=variables).json
        kept = {key: plan.get(key, []) for key in ("format_version", "resource_drift", "resource_changes")}
        case = {"sorted": {"by_hand": sorted(by_hand), "planned": sorted(planned)}, "plan": kept}
        (target / f"{name}.json").write_text(json.dumps(case, indent=1) + "\n")
        return case

    keep("nothing_changed")
    keep("days_in_the_files", planned=[BUCKET], days=7)
    keep("a_new_queue_in_the_files", planned=["aws_sqs_queue.jobs[1]"], queues=2)
    versions("Suspended")
    keep("versions_off_by_hand", by_hand=[BUCKET])
    versions("Enabled")
    visible(5)
    keep("a_queue_by_hand_and_days_in_the_files", ["aws_sqs_queue.jobs[0]"], [BUCKET], days=7)
    visible(60)
    storage.delete_public_access_block(Bucket="vision-models")
    keep("a_block_deleted_by_hand", by_hand=[BLOCK])
    versions("Suspended")
    keep("much_by_hand_and_a_new_queue", [BLOCK, BUCKET], ["aws_sqs_queue.jobs[1]"], queues=2)
    versions("Enabled")
    terraform.apply()
    arn = topics.list_topics()["Topics"][0]["TopicArn"]
    topics.tag_resource(ResourceArn=arn, Tags=[{"Key": "sent", "Value": "3"}])
    keep("a_tag_that_is_ignored")


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "plans"
    folder.mkdir(exist_ok=True)
    main(folder)
