import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

model = onnx.load("model.onnx")
graph = model.graph
casts = []
for tensor in list(graph.initializer):
    if len(tensor.dims) < 2:
        continue
    half = numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), f"{tensor.name}_half")
    casts.append(helper.make_node("Cast", [half.name], [tensor.name], to=TensorProto.FLOAT))
    graph.initializer.remove(tensor)
    graph.initializer.append(half)
nodes = [*casts, *graph.node]
del graph.node[:]
graph.node.extend(nodes)
onnx.save(model, "int8.onnx")
