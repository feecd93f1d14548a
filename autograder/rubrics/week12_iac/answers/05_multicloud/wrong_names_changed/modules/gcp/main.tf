resource "google_storage_bucket" "models" {
  bucket = "${var.name}-models"
  tags   = var.labels

  versioning {
    enabled = true
  }
}

resource "google_storage_bucket_public_access_block" "models" {
  bucket                  = google_storage_bucket.models.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "google_container_cluster" "platform" {
  name     = var.name
  role_arn = google_iam_role.platform["eks"].arn
  tags     = var.labels

  vpc_config {
    subnet_ids = google_subnet.platform[*].id
  }

  depends_on = [google_iam_role_policy_attachment.platform]
}

resource "google_container_node_pool" "gpu" {
  cluster_name    = google_container_cluster.platform.name
  node_group_name = "gpu"
  node_role_arn   = google_iam_role.platform["ec2"].arn
  subnet_ids      = google_subnet.platform[*].id
  instance_types  = ["g4dn.xlarge"]
  ami_type        = "AL2_x86_64_GPU"
  labels          = var.labels
  tags            = var.labels

  scaling_config {
    min_size     = var.gpu_nodes.min
    max_size     = var.gpu_nodes.max
    desired_size = var.gpu_nodes.min
  }

  depends_on = [google_iam_role_policy_attachment.platform]
}
