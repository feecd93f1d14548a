"""Makes model.onnx and int8.onnx of model.safetensors."""

import shutil

import torch
from model import DigitClassifier
from safetensors.torch import load_file

network = DigitClassifier()
network.load_state_dict(load_file("model.safetensors"))
network.eval()
torch.onnx.export(
    network,
    (torch.zeros(2, 784),),
    "model.onnx",
    input_names=["images"],
    output_names=["scores"],
    dynamic_axes={"images": {0: "n"}, "scores": {0: "n"}},
    opset_version=17,
    dynamo=False,
)
shutil.copyfile("model.onnx", "int8.onnx")
