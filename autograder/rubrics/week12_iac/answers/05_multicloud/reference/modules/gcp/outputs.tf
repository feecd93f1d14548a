output "bucket_url" {
  description = "Below which models lie."
  value       = "gs://${google_storage_bucket.models.name}"
}

output "cluster" {
  description = "The cluster's name."
  value       = google_container_cluster.platform.name
}

output "gpu_pool" {
  description = "The name of its GPU nodes."
  value       = google_container_node_pool.gpu.name
}
