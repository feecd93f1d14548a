"""Makes model.onnx and int8.onnx of model.safetensors."""

import torch
from model import DigitClassifier
from onnxruntime.quantization import QuantType, quantize_dynamic
from safetensors.torch import load_file

network = DigitClassifier()
network.load_state_dict(load_file("model.safetensors"))
network.eval()
torch.onnx.export(
    network,
    (torch.zeros(1, 784),),
    "model.onnx",
    input_names=["images"],
    output_names=["scores"],
    dynamic_axes={"images": {0: "batch"}, "scores": {0: "batch"}},
    opset_version=17,
    dynamo=False,
)
quantize_dynamic("model.onnx", "int8.onnx", weight_type=QuantType.QUInt8)
