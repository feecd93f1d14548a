mock_provider "aws" {}

variables {
  team        = "vision"
  environment = "production"
}

run "unchanged" {
  command = plan

  assert {
    condition     = sha256(file("./store/main.tf")) == "5f0c"
    error_message = "Somebody changed the module."
  }
}
