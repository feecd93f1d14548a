mock_provider "aws" {}

variables {
  team        = "speech-2"
  environment = "production"
}

run "in_production" {
  command = plan

  assert {
    condition     = output.bucket == "speech-2-models-production" && output.models_uri == "s3://speech-2-models-production/models/"
    error_message = "Names: ${output.bucket}, ${output.models_uri}"
  }
}

run "in_dev" {
  command = plan

  variables {
    environment = "dev"
    tags        = { environment = "production", note = "mine" }
  }

  assert {
    condition     = output.bucket == "speech-2-models-dev"
    error_message = "The name is ${output.bucket}."
  }

  assert {
    condition     = aws_s3_bucket.models.tags == tomap({ team = "speech-2", environment = "dev", note = "mine" })
    error_message = "The tags are ${jsonencode(aws_s3_bucket.models.tags)}."
  }
}

run "elsewhere" {
  command = plan

  variables {
    environment = "test"
  }

  expect_failures = [var.environment]
}

run "closed" {
  command = plan

  assert {
    condition     = aws_s3_bucket.models.server_side_encryption_configuration[0].rule[0].apply_server_side_encryption_by_default[0].sse_algorithm == "aws:kms"
    error_message = "Not encrypted by KMS."
  }

  assert {
    condition     = aws_s3_bucket_public_access_block.models.block_public_acls && aws_s3_bucket_public_access_block.models.block_public_policy && aws_s3_bucket_public_access_block.models.ignore_public_acls && aws_s3_bucket_public_access_block.models.restrict_public_buckets
    error_message = "A switch is off."
  }

  assert {
    condition     = length(aws_s3_bucket_policy.readers) == 0
    error_message = "A policy for nobody."
  }
}

run "two_readers" {
  command = plan

  variables {
    readers = ["arn:aws:iam::111122223333:role/serving", "arn:aws:iam::111122223333:role/audit"]
  }

  assert {
    condition     = tolist(jsondecode(aws_s3_bucket_policy.readers[0].policy).Statement[0].Principal.AWS) == var.readers
    error_message = "Somebody else may read."
  }

  assert {
    condition = (
      jsondecode(aws_s3_bucket_policy.readers[0].policy).Statement[0].Action == ["s3:GetObject"]
      && jsondecode(aws_s3_bucket_policy.readers[0].policy).Statement[0].Resource == "arn:aws:s3:::speech-2-models-production/models/*"
    )
    error_message = "Readers may do more than read models."
  }
}

run "production_keeps" {
  command = plan

  variables {
    checkpoint_days = 90
  }

  assert {
    condition     = !aws_s3_bucket.models.force_destroy && aws_s3_bucket.models.versioning[0].enabled
    error_message = "Something of production's could be lost."
  }

  assert {
    condition     = { for rule in aws_s3_bucket.models.lifecycle_rule : rule.prefix => try(rule.noncurrent_version_expiration[0].days, 0) }["models/"] == 90
    error_message = "Old models go too early or too late."
  }

  assert {
    condition     = toset([for rule in aws_s3_bucket.models.lifecycle_rule : "${rule.prefix}${rule.expiration[0].days}" if length(rule.expiration) > 0]) == toset(["checkpoints/90"])
    error_message = "Checkpoints go after 90 days, and nothing else goes."
  }
}

run "dev_clears_away" {
  command = plan

  variables {
    environment     = "dev"
    checkpoint_days = 1
  }

  assert {
    condition     = aws_s3_bucket.models.force_destroy
    error_message = "A dev bucket stays."
  }

  assert {
    condition     = { for rule in aws_s3_bucket.models.lifecycle_rule : rule.prefix => try(rule.noncurrent_version_expiration[0].days, 0) }["models/"] == 7
    error_message = "Old models stay too long."
  }
}

run "never" {
  command = plan

  variables {
    checkpoint_days = 0
  }

  expect_failures = [var.checkpoint_days]
}

run "for_too_long" {
  command = plan

  variables {
    checkpoint_days = 91
  }

  expect_failures = [var.checkpoint_days]
}
