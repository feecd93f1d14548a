# Model storage, as the course's first notes have it. It works as it stands: the notebook applies it.
terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 3.39"
    }
  }
}

resource "aws_s3_bucket" "model_artifacts" {
  bucket = "ml-model-artifacts"

  versioning {
    enabled = true
  }

  lifecycle_rule {
    enabled = true

    transition {
      days          = 30
      storage_class = "STANDARD_IA"
    }
  }
}
