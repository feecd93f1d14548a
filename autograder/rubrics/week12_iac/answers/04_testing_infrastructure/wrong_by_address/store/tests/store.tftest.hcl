# What the module promises, one run for each kind of caller. No account: plans with a mocked provider.
mock_provider "aws" {}

variables {
  team        = "vision"
  environment = "production"
}

run "production" {
  command = plan

  variables {
    tags = { team = "somebody else", cost_center = "4711" }
  }

  assert {
    condition     = aws_s3_bucket.models.bucket == "vision-models-production"
    error_message = "A bucket is named for its team and its environment."
  }

  assert {
    condition     = output.models_uri == "s3://vision-models-production/models/"
    error_message = "The address of models is the bucket's with the prefix models/."
  }

  assert {
    condition     = aws_s3_bucket.models.versioning[0].enabled
    error_message = "What was overwritten can be had back."
  }

  assert {
    condition     = !aws_s3_bucket.models.force_destroy
    error_message = "No destroy takes production's models along."
  }

  assert {
    condition = [
      for rule in aws_s3_bucket.models.lifecycle_rule :
      rule.noncurrent_version_expiration[0].days if rule.prefix == "models/"
    ][0] == 90
    error_message = "Overwritten models stay for 90 days."
  }

  assert {
    condition = (
      aws_s3_bucket.models.server_side_encryption_configuration[0].rule[0].apply_server_side_encryption_by_default[0].sse_algorithm
      == "aws:kms"
    )
    error_message = "Objects are encrypted with a key of KMS."
  }

  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.models.block_public_acls,
      aws_s3_bucket_public_access_block.models.block_public_policy,
      aws_s3_bucket_public_access_block.models.ignore_public_acls,
      aws_s3_bucket_public_access_block.models.restrict_public_buckets,
    ])
    error_message = "All four switches of the public access block are on."
  }

  assert {
    condition     = aws_s3_bucket.models.tags["team"] == "vision" && aws_s3_bucket.models.tags["cost_center"] == "4711"
    error_message = "A caller adds tags, and replaces none of the module's."
  }

  assert {
    condition     = length(aws_s3_bucket_policy.readers) == 0
    error_message = "Without readers there is no policy."
  }
}

run "dev" {
  command = plan

  variables {
    environment     = "dev"
    checkpoint_days = 3
  }

  assert {
    condition     = aws_s3_bucket.models.force_destroy
    error_message = "A dev bucket can be destroyed with what is in it."
  }

  assert {
    condition = [
      for rule in aws_s3_bucket.models.lifecycle_rule :
      rule.noncurrent_version_expiration[0].days if rule.prefix == "models/"
    ][0] == 7
    error_message = "In dev, overwritten models stay for a week."
  }

  assert {
    condition = [
      for rule in aws_s3_bucket.models.lifecycle_rule :
      rule.expiration[0].days if rule.prefix == "checkpoints/"
    ] == [3]
    error_message = "Checkpoints, and nothing else, go after the days that the caller says."
  }
}

run "readers" {
  command = plan

  variables {
    readers = ["arn:aws:iam::111122223333:role/serving"]
  }

  assert {
    condition = jsondecode(aws_s3_bucket_policy.readers[0].policy).Statement[0] == {
      Sid       = "Readers"
      Effect    = "Allow"
      Principal = { AWS = ["arn:aws:iam::111122223333:role/serving"] }
      Action    = ["s3:GetObject"]
      Resource  = "arn:aws:s3:::vision-models-production/models/*"
    }
    error_message = "Those that are named read models, and do nothing else."
  }
}

run "an_unknown_environment" {
  command = plan

  variables {
    environment = "staging"
  }

  expect_failures = [var.environment]
}

run "no_days" {
  command = plan

  variables {
    checkpoint_days = 0
  }

  expect_failures = [var.checkpoint_days]
}

run "too_many_days" {
  command = plan

  variables {
    checkpoint_days = 91
  }

  expect_failures = [var.checkpoint_days]
}
