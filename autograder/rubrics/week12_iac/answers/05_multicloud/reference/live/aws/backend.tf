terraform {
  backend "s3" {
    bucket       = "ml-terraform-state"
    key          = "vision/terraform.tfstate"
    region       = "us-east-1"
    encrypt      = true
    use_lockfile = true
  }
}
