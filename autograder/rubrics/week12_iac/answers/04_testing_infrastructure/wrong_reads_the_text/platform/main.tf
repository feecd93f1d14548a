# What serves beside the models' bucket.
provider "aws" {
  region = "us-east-1"
}

variable "vpc_id" {
  type = string
}

resource "aws_sns_topic" "alerts" {
  name              = "ml-alerts"
  kms_master_key_id = "alias/aws/sns"
}

resource "aws_sqs_queue" "jobs" {
  name              = "ml-jobs"
  kms_master_key_id = "alias/aws/sqs"
}

resource "aws_ecr_repository" "serving" {
  name                 = "ml-serving"
  image_tag_mutability = "IMMUTABLE"

  image_scanning_configuration {
    scan_on_push = true
  }
}

resource "aws_ebs_volume" "datasets" {
  availability_zone = "us-east-1a"
  size              = 200
  encrypted         = true
}

resource "aws_dynamodb_table" "lineage" {
  name         = "ml-lineage"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "model"

  attribute {
    name = "model"
    type = "S"
  }

  point_in_time_recovery {
    enabled = true
  }
}

resource "aws_security_group" "training" {
  name        = "ml-training"
  description = "Machines that train"
  vpc_id      = var.vpc_id

  ingress {
    description = "SSH from the office"
    from_port   = 22
    to_port     = 22
    protocol    = "tcp"
    cidr_blocks = ["10.20.0.0/16"]
  }
}

resource "aws_launch_template" "training" {
  name          = "ml-training"
  instance_type = "c5.2xlarge"

  metadata_options {
    http_endpoint = "enabled"
    http_tokens   = "required"
  }
}

resource "aws_iam_policy" "training" {
  name = "ml-training"

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = ["s3:GetObject", "s3:PutObject"]
      Resource = "arn:aws:s3:::vision-models-production/*"
    }]
  })
}
