resource "google_storage_bucket" "models" {
  name                        = "${var.name}-models"
  location                    = var.region
  labels                      = var.labels
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  versioning {
    enabled = true
  }
}

# A cluster is made with a pool of its own, which goes at once: GPU nodes have theirs.
resource "google_container_cluster" "platform" {
  name                     = var.name
  location                 = var.region
  resource_labels          = var.labels
  initial_node_count       = 1
  remove_default_node_pool = true
  deletion_protection      = false
}

resource "google_container_node_pool" "gpu" {
  name     = "gpu"
  cluster  = google_container_cluster.platform.name
  location = var.region

  autoscaling {
    min_node_count  = var.gpu_nodes.min
    max_node_count  = var.gpu_nodes.max
    location_policy = "ANY"
  }

  node_config {
    machine_type = "g2-standard-4"
    labels       = var.labels

    guest_accelerator {
      type  = "nvidia-l4"
      count = 1
    }
  }
}
