output "bucket_url" {
  description = "Below which models lie."
  value       = "s3://${aws_s3_bucket.models.bucket}"
}

output "cluster" {
  description = "The cluster's name."
  value       = aws_eks_cluster.platform.name
}

output "gpu_pool" {
  description = "The name of its GPU nodes."
  value       = aws_eks_node_group.gpu.node_group_name
}
