"""Makes model.mlpackage.zip of model.safetensors; runs in the environment `edge`."""

import torch
from model import DigitClassifier
from safetensors.torch import load_file

network = DigitClassifier()
network.load_state_dict(load_file("model.safetensors"))

# coremltools.convert takes a traced module (torch.jit.trace) and its inputs, each a TensorType with a name.
# What it gives has save(path). A package is a folder: shutil.make_archive makes one file of it.
sample = torch.zeros(1, 784)
