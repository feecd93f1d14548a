# What serves beside the models' bucket. It works, and it is not fit to be seen: a scanner knows why.
provider "aws" {
  region = "us-east-1"
}

variable "vpc_id" {
  type = string
}

resource "aws_sns_topic" "alerts" {
  # checkov:skip=CKV_AWS_26: not now
  name = "ml-alerts"
}

resource "aws_sqs_queue" "jobs" {
  # checkov:skip=CKV_AWS_27: not now
  name = "ml-jobs"
}

resource "aws_ecr_repository" "serving" {
  # checkov:skip=CKV_AWS_51: not now
  # checkov:skip=CKV_AWS_163: not now
  name = "ml-serving"
}

resource "aws_ebs_volume" "datasets" {
  # checkov:skip=CKV_AWS_3: not now
  availability_zone = "us-east-1a"
  size              = 200
}

resource "aws_dynamodb_table" "lineage" {
  # checkov:skip=CKV_AWS_28: not now
  name         = "ml-lineage"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "model"

  attribute {
    name = "model"
    type = "S"
  }
}

resource "aws_security_group" "training" {
  # checkov:skip=CKV_AWS_23: not now
  # checkov:skip=CKV_AWS_24: not now
  name   = "ml-training"
  vpc_id = var.vpc_id

  ingress {
    from_port   = 22
    to_port     = 22
    protocol    = "tcp"
    cidr_blocks = ["0.0.0.0/0"]
  }
}

resource "aws_launch_template" "training" {
  # checkov:skip=CKV_AWS_79: not now
  name          = "ml-training"
  instance_type = "c5.2xlarge"
}

resource "aws_iam_policy" "training" {
  # checkov:skip=CKV_AWS_62: not now
  # checkov:skip=CKV_AWS_63: not now
  name = "ml-training"

  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "*", Resource = "*" }]
  })
}
