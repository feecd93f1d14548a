# The store locks by itself, and encrypts whatever lies in it.
terraform {
  backend "gcs" {
    bucket = "ml-terraform-state"
    prefix = "vision"
  }
}
