"""Makes model.tflite of model.safetensors; runs in the environment `edge`."""

import torch
from model import DigitClassifier
from safetensors.torch import load_file

network = DigitClassifier()
network.load_state_dict(load_file("model.safetensors"))

# litert_torch.convert takes a module and a tuple of sample inputs; what it gives has export(path).
# The sample's type is the type of the inputs: a phone sends one image, (1, 784) in float32.
sample = (torch.zeros(1, 784),)
