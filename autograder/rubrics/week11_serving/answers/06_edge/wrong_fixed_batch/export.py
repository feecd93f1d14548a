"""Makes model.onnx and int8.onnx of model.safetensors."""

import numpy as np
import torch
from model import DigitClassifier
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from safetensors.torch import load_file


class Images(CalibrationDataReader):
    """Real images, from which the ranges of the activations are read."""

    def __init__(self, images):
        self.batches = iter(images.astype(np.float32)[:, None])

    def get_next(self):
        batch = next(self.batches, None)
        return None if batch is None else {"images": batch}


network = DigitClassifier()
network.load_state_dict(load_file("model.safetensors"))
network.eval()
torch.onnx.export(
    network,
    (torch.zeros(1, 784),),
    "model.onnx",
    input_names=["images"],
    output_names=["scores"],
    opset_version=17,
    dynamo=False,
)

with np.load("few_labels.npz") as data:
    images = data["images"][:100]
quantize_static(
    "model.onnx",
    "int8.onnx",
    Images(images),
    activation_type=QuantType.QUInt8,
    weight_type=QuantType.QInt8,
    per_channel=True,
)
