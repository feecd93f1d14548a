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
