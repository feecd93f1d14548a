"""Makes model.mlpackage.zip of model.safetensors."""

import shutil

import coremltools
import torch
from model import DigitClassifier

network = DigitClassifier()
traced = torch.jit.trace(network.eval(), torch.zeros(1, 784))
model = coremltools.convert(
    traced,
    inputs=[coremltools.TensorType(name="images", shape=(1, 784))],
    outputs=[coremltools.TensorType(name="scores")],
    convert_to="mlprogram",
)
model.save("model.mlpackage")
shutil.make_archive("model.mlpackage", "zip", ".", "model.mlpackage")
