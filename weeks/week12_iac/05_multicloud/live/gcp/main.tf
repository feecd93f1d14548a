# The platform on Google Cloud. It is complete: leave it as it is.
provider "google" {
  project = "ml-platform"
  region  = "us-central1"
}

module "platform" {
  source    = "../../modules/gcp"
  name      = "vision"
  region    = "us-central1"
  gpu_nodes = { min = 0, max = 4 }
  labels    = { team = "vision" }
}

output "platform" {
  value = module.platform
}
