# What AWS would decide is made up by the mock; this says what it makes up for an address.
mock_provider "aws" {
  mock_resource "aws_sqs_queue" {
    defaults = {
      arn = "arn:aws:sqs:us-east-1:111122223333:made-up"
    }
  }
}

variables {
  team = "vision"
}

# A plan is enough for what the module sets itself.
run "is_named_for_its_team" {
  command = plan

  assert {
    condition     = aws_sqs_queue.jobs.name == "vision-jobs"
    error_message = "The queue is ${aws_sqs_queue.jobs.name}."
  }
}

# The policy holds an address that is known only when the other queue is there: applied, to the mock.
run "gives_up_after_three_tries" {
  command = apply

  assert {
    condition     = jsondecode(aws_sqs_queue.jobs.redrive_policy).maxReceiveCount == 3
    error_message = "A job is tried more or less often than three times."
  }
}

# Passes if the module refuses.
run "refuses_half_a_minute" {
  command = plan

  variables {
    seconds = 30
  }

  expect_failures = [var.seconds]
}
