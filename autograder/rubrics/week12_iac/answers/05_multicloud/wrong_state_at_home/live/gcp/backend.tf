terraform {
  backend "local" {
    path = "platform.tfstate"
  }
}
