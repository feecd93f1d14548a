"""Makes model.onnx and int8.onnx of model.safetensors. Start it with `python export.py`."""

import shutil

import torch
from model import DigitClassifier
from safetensors.torch import load_file

network = DigitClassifier()
network.load_state_dict(load_file("model.safetensors"))

# Somebody was in a hurry here. Read what torch.onnx.export is told, and what it is not told.
torch.onnx.export(
    network,
    (torch.zeros(1, 784),),
    "model.onnx",
    training=torch.onnx.TrainingMode.TRAINING,
    do_constant_folding=False,
    opset_version=17,
    dynamo=False,
)

# Yours: eight bits, as in the lab on optimisation; few_labels.npz holds images to calibrate on.
shutil.copyfile("model.onnx", "int8.onnx")
