# Where one team keeps its models in one environment.
locals {
  name       = "${var.team}-models-${var.environment}"
  production = var.environment == "production"
}

resource "aws_s3_bucket" "models" {
  bucket        = local.name
  force_destroy = !local.production
  tags          = merge(var.tags, { team = var.team, environment = var.environment })

  versioning {
    enabled = true
  }

  lifecycle_rule {
    id      = "models"
    enabled = true
    prefix  = "models/"

    noncurrent_version_expiration {
      days = local.production ? 90 : 7
    }
  }

  lifecycle_rule {
    id      = "checkpoints"
    enabled = true
    prefix  = "checkpoints/"

    expiration {
      days = var.checkpoint_days
    }
  }

  server_side_encryption_configuration {
    rule {
      apply_server_side_encryption_by_default {
        sse_algorithm = "aws:kms"
      }
    }
  }
}

resource "aws_s3_bucket_public_access_block" "models" {
  bucket                  = aws_s3_bucket.models.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

# Nobody reads by a policy unless somebody is named.
resource "aws_s3_bucket_policy" "readers" {
  count  = length(var.readers) > 0 ? 1 : 0
  bucket = aws_s3_bucket.models.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "Readers"
      Effect    = "Allow"
      Principal = { AWS = var.readers }
      Action    = ["s3:GetObject"]
      Resource  = "arn:aws:s3:::${local.name}/models/*"
    }]
  })
}
