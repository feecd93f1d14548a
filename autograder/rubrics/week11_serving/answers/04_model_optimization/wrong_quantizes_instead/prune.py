"""Makes pruned.onnx of model.onnx."""

from onnxruntime.quantization import QuantType, quantize_dynamic

quantize_dynamic("model.onnx", "pruned.onnx", weight_type=QuantType.QUInt8)
