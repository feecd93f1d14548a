variable "name" {
  type = string
}

variable "lifecycles" {
  description = "For each prefix: after how many days it moves, is deleted, and loses its old versions."
  type        = map(object({ cold = optional(number), gone = optional(number), old_gone = number }))
}

resource "aws_kms_key" "this" {
  description             = "Encrypts ${var.name}"
  deletion_window_in_days = 7
}

resource "aws_s3_bucket" "this" {
  bucket = var.name

  versioning {
    enabled = true
  }

  server_side_encryption_configuration {
    rule {
      apply_server_side_encryption_by_default {
        sse_algorithm     = "aws:kms"
        kms_master_key_id = aws_kms_key.this.arn
      }
    }
  }

  dynamic "lifecycle_rule" {
    for_each = var.lifecycles
    content {
      id                                     = lifecycle_rule.key
      enabled                                = true
      prefix                                 = "${lifecycle_rule.key}/"
      abort_incomplete_multipart_upload_days = 3

      dynamic "transition" {
        for_each = lifecycle_rule.value.cold[*]
        content {
          days          = transition.value
          storage_class = "STANDARD_IA"
        }
      }

      dynamic "expiration" {
        for_each = lifecycle_rule.value.gone[*]
        content {
          days = expiration.value
        }
      }

      noncurrent_version_expiration {
        days = lifecycle_rule.value.old_gone
      }
    }
  }
}

resource "aws_s3_bucket_public_access_block" "this" {
  bucket                  = aws_s3_bucket.this.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

data "aws_iam_policy_document" "tls" {
  statement {
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [aws_s3_bucket.this.arn, "${aws_s3_bucket.this.arn}/*"]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_s3_bucket_policy" "this" {
  bucket     = aws_s3_bucket.this.id
  policy     = data.aws_iam_policy_document.tls.json
  depends_on = [aws_s3_bucket_public_access_block.this]
}
