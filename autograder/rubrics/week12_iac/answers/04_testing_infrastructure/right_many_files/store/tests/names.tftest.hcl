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
