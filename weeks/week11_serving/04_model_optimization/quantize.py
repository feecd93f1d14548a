"""Makes int8.onnx of model.onnx. Start it with `python quantize.py`."""

# Beside this file lie model.onnx, whose input `images` takes grey levels from 0 to 255 as (n, 784) float32,
# and few_labels.npz with images to calibrate on. onnxruntime.quantization does the work.
