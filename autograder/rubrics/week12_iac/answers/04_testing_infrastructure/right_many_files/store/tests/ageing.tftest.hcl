mock_provider "aws" {}

variables {
  team        = "speech-2"
  environment = "production"
}

run "production_keeps" {
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
