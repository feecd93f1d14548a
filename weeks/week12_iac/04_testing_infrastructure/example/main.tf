# A queue of training jobs; what failed three times lies in a second queue, where somebody looks at it.
variable "team" {
  type = string
}

variable "seconds" {
  description = "How long a job may take before somebody else gets it, too."
  type        = number
  default     = 600

  validation {
    condition     = var.seconds >= 60
    error_message = "No training is done within a minute."
  }
}

variable "tries" {
  type    = number
  default = 3
}

resource "aws_sqs_queue" "jobs" {
  name                       = "${var.team}-jobs"
  visibility_timeout_seconds = var.seconds
  kms_master_key_id          = "alias/aws/sqs"

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.failed.arn
    maxReceiveCount     = var.tries
  })
}

resource "aws_sqs_queue" "failed" {
  name                      = "${var.team}-failed"
  message_retention_seconds = 14 * 24 * 3600
}
