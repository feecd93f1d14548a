import shutil

shutil.copyfile("model.onnx", "int8.onnx")
