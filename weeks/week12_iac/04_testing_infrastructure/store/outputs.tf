output "bucket" {
  description = "The bucket's name."
  value       = aws_s3_bucket.models.bucket
}

output "models_uri" {
  description = "Below which models lie."
  value       = "s3://${local.name}/models/"
}
