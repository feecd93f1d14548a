terraform {
  backend "s3" {
    bucket       = "ml-terraform-state"
    key          = "model-storage/terraform.tfstate"
    region       = "us-east-1"
    encrypt      = true
    use_lockfile = true
  }
}
