"""Makes model.tflite of model.safetensors."""

import litert_torch
import torch
from model import DigitClassifier
from safetensors.torch import load_file

network = DigitClassifier()
network.load_state_dict(load_file("model.safetensors"))
litert_torch.convert(network.eval(), (torch.zeros(1, 784),)).export("model.tflite")
