# Models are kept for good, what was overwritten for 90 days, checkpoints for two weeks.
resource "aws_s3_bucket" "models" {
  bucket = "ml-model-artifacts"

  versioning {
    enabled = true
  }

  server_side_encryption_configuration {
    rule {
      apply_server_side_encryption_by_default {
        sse_algorithm = "AES256"
      }
    }
  }

  lifecycle_rule {
    id      = "models"
    enabled = true
    prefix  = "models/"

    transition {
      days          = 30
      storage_class = "STANDARD_IA"
    }

    noncurrent_version_expiration {
      days = 90
    }
  }

  lifecycle_rule {
    id      = "checkpoints"
    enabled = true
    prefix  = "checkpoints/"

    expiration {
      days = 14
    }

    noncurrent_version_expiration {
      days = 1
    }
  }

  lifecycle_rule {
    id                                     = "broken-uploads"
    enabled                                = true
    abort_incomplete_multipart_upload_days = 7
  }
}

resource "aws_s3_bucket_public_access_block" "models" {
  bucket = aws_s3_bucket.models.id

  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_policy" "models" {
  bucket = aws_s3_bucket.models.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "EncryptedTransportOnly"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [aws_s3_bucket.models.arn, "${aws_s3_bucket.models.arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })

  # Both change the same settings of the bucket; one after the other.
  depends_on = [aws_s3_bucket_public_access_block.models]
