# What this configuration is written for: leave this file as it is. The provider block is yours, in main.tf.
terraform {
  required_version = ">= 1.10"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 3.39"
    }
  }
}
