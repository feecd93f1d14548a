locals {
  models  = "${var.name}-models"
  machine = "n1-standard-8"
  zone    = "${var.region}-a"
}

resource "google_storage_bucket" "this" {
  name     = local.models
  location = var.region
  labels   = merge({ managed_by = "terraform" }, var.labels)

  public_access_prevention    = "enforced"
  uniform_bucket_level_access = true

  versioning {
    enabled = true
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }

    condition {
      num_newer_versions = 10
    }
  }
}

resource "google_service_account" "nodes" {
  account_id = "${var.name}-nodes"
}

resource "google_container_cluster" "this" {
  name                     = var.name
  location                 = local.zone
  remove_default_node_pool = true
  initial_node_count       = 1
  resource_labels          = var.labels
  deletion_protection      = false
}

resource "google_container_node_pool" "gpu" {
  cluster  = google_container_cluster.this.id
  name     = "gpu"
  location = local.zone

  autoscaling {
    min_node_count = var.gpu_nodes["min"]
    max_node_count = var.gpu_nodes["max"]
  }

  node_config {
    machine_type    = local.machine
    spot            = true
    service_account = google_service_account.nodes.email
    labels          = var.labels

    guest_accelerator {
      type  = "nvidia-tesla-t4"
      count = 2
    }
  }
}
