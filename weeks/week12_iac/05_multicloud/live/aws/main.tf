# The platform on AWS. It is complete: leave it as it is.
provider "aws" {
  region = "us-east-1"
}

module "platform" {
  source    = "../../modules/aws"
  name      = "vision"
  region    = "us-east-1"
  gpu_nodes = { min = 0, max = 4 }
  labels    = { team = "vision" }
}

output "platform" {
  value = module.platform
}
