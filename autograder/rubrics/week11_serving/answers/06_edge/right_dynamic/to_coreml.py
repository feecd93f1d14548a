"""Makes model.mlpackage.zip of model.safetensors."""

import shutil

import coremltools
import torch
from model import DigitClassifier
from safetensors.torch import load_file

network = DigitClassifier()
network.load_state_dict(load_file("model.safetensors"))
traced = torch.jit.trace(network.eval(), torch.zeros(1, 784))
model = coremltools.convert(
    traced,
    inputs=[coremltools.TensorType(name="images", shape=(1, 784))],
    outputs=[coremltools.TensorType(name="scores")],
    convert_to="mlprogram",
)
model.save("model.mlpackage")
shutil.make_archive("model.mlpackage", "zip", ".", "model.mlpackage")
