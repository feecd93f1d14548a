terraform {
  backend "s3" {
    bucket         = "ml-terraform-state"
    key            = "teams/vision.tfstate"
    region         = "us-east-1"
    encrypt        = true
    dynamodb_table = "ml-terraform-locks"
  }
}
