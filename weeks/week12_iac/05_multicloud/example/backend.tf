# Where the example's state is kept: this much is all that a backend of Google's store needs.
terraform {
  backend "gcs" {
    bucket = "ml-terraform-state"
    prefix = "notices"
  }
}
