# Every caller is called: nothing is asked.
mock_provider "aws" {}

variables {
  team        = "vision"
  environment = "production"
}

run "production" {
  command = plan
}

run "dev" {
  command = plan

  variables {
    environment = "dev"
  }
}

run "readers" {
  command = plan

  variables {
    readers = ["arn:aws:iam::111122223333:role/serving"]
  }
}
