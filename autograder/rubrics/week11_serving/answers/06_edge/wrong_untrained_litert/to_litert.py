"""Makes model.tflite of model.safetensors."""

import litert_torch
import torch
from model import DigitClassifier

network = DigitClassifier()
litert_torch.convert(network.eval(), (torch.zeros(1, 784),)).export("model.tflite")
