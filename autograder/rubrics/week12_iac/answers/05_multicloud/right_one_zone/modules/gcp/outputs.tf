output "bucket_url" {
  value = "gs://${google_storage_bucket.this.name}"
}

output "cluster" {
  value = google_container_cluster.this.name
}

output "gpu_pool" {
  value = google_container_node_pool.gpu.name
}
