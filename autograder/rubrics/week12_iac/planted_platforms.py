"""Configurations that policies of one's own are judged by: what each must find, and what leave alone."""

POLICIES = {"CKV2_ML_1": "owner.yaml", "CKV2_ML_2": "size.yaml", "CKV2_ML_3": "closed.yaml"}

_BLOCK = """
resource "aws_s3_bucket_public_access_block" "{name}" {{
  bucket                  = aws_s3_bucket.{name}.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}}
"""

PLATFORMS: dict[str, tuple[str, dict[str, set[str]]]] = {
    "kept": (
        """
resource "aws_s3_bucket" "kept" {
  bucket = "kept"
  tags   = { owner = "vision", environment = "dev" }
}

resource "aws_dynamodb_table" "kept" {
  name         = "kept"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "model"
  tags         = { owner = "vision" }
}

resource "aws_ebs_volume" "kept" {
  availability_zone = "us-east-1a"
  size              = 10
  tags              = { owner = "vision" }
}

resource "aws_sns_topic" "untagged" {
  name = "untagged"
}

resource "aws_autoscaling_group" "ten" {
  min_size = 0
  max_size = 10
}

resource "aws_autoscaling_group" "two" {
  min_size = 2
  max_size = 2
}
"""
        + _BLOCK.format(name="kept"),
        {},
    ),
    "nobodys": (
        """
resource "aws_s3_bucket" "untagged" {
  bucket = "untagged"
}

resource "aws_dynamodb_table" "other_tags" {
  name         = "other-tags"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "model"
  tags         = { environment = "production" }
}

resource "aws_ebs_volume" "untagged" {
  availability_zone = "us-east-1a"
  size              = 10
}
"""
        + _BLOCK.format(name="untagged"),
        {"CKV2_ML_1": {"aws_s3_bucket.untagged", "aws_dynamodb_table.other_tags", "aws_ebs_volume.untagged"}},
    ),
    "too_large": (
        """
variable "most" {
  default = 25
}

resource "aws_autoscaling_group" "eleven" {
  min_size = 0
  max_size = 11
}

resource "aws_autoscaling_group" "by_variable" {
  min_size = 0
  max_size = var.most
}

resource "aws_autoscaling_group" "nine" {
  min_size = 9
  max_size = 9
}
""",
        {"CKV2_ML_2": {"aws_autoscaling_group.eleven", "aws_autoscaling_group.by_variable"}},
    ),
    "half_closed": (
        """
resource "aws_s3_bucket" "closed" {
  bucket = "closed"
  tags   = { owner = "vision" }
}

resource "aws_s3_bucket" "open" {
  bucket = "open"
  tags   = { owner = "vision" }
}
"""
        + _BLOCK.format(name="closed"),
        {"CKV2_ML_3": {"aws_s3_bucket.open"}},
    ),
}
"""By name, a configuration and the resources in it that break each policy."""
