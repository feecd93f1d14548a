"""Makes int8.onnx of model.onnx: weights and activations in eight bits."""

import numpy as np
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static


class Images(CalibrationDataReader):
    """Real images in the range in which they will come; the ranges of all activations are read off them."""

    def __init__(self, images):
        self.batches = iter(np.array_split(images.astype(np.float32), 20))

    def get_next(self):
        batch = next(self.batches, None)
        return None if batch is None else {"images": batch}


images = np.random.default_rng(0).random((400, 784))
quantize_static(
    "model.onnx",
    "int8.onnx",
    Images(images),
    quant_format=QuantFormat.QDQ,
    activation_type=QuantType.QUInt8,
    weight_type=QuantType.QInt8,
    per_channel=True,
)
