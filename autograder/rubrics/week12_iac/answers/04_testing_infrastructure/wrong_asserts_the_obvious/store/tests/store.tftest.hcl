mock_provider "aws" {}

variables {
  team        = "vision"
  environment = "production"
}

run "production" {
  command = plan

  assert {
    condition     = length(aws_s3_bucket.models.bucket) > 0
    error_message = "The bucket has a name."
  }

  assert {
    condition     = length(aws_s3_bucket.models.lifecycle_rule) >= 2
    error_message = "There are rules."
  }

  assert {
    condition     = output.bucket == aws_s3_bucket.models.bucket
    error_message = "The output is the bucket's name."
  }
}
