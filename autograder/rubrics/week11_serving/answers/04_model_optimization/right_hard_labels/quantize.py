"""Makes int8.onnx of model.onnx: weights in eight bits, activations measured in every run."""

from onnxruntime.quantization import QuantType, quantize_dynamic

quantize_dynamic("model.onnx", "int8.onnx", weight_type=QuantType.QUInt8)
