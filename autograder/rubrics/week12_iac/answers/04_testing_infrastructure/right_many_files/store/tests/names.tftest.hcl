mock_provider "aws" {}

variables {
  team        = "speech-2"
  environment = "production"
}

run "in_production" {
  assert {
    condition     = output.bucket == "speech-2-models-production" && output.models_uri == "s3://speech-2-models-production/models/"
    error_message = "Names: ${output.bucket}, ${output.models_uri}"
  }
}

run "in_dev" {
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
  variables {
    readers = ["arn:aws:iam::111122223333:role/serving", "arn:aws:iam::111122223333:role/audit"]
  }

  assert {
    condition     = jsondecode(aws_s3_bucket_policy.readers[0].policy).Statement[0].Principal == { AWS = var.readers }
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
