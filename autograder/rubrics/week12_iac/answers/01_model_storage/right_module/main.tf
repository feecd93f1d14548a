module "models" {
  source = "./bucket"
  name   = "ml-model-artifacts"

  lifecycles = {
    models      = { cold = 30, old_gone = 90 }
    checkpoints = { gone = 14, old_gone = 14 }
  }
}
