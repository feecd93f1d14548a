"""Exports the model with both of PyTorch's exporters, in the environment `edge`; leaves exporters.json."""

import json
import time
import warnings
from pathlib import Path

import torch
from model import DigitClassifier
from safetensors.torch import load_file

warnings.simplefilter("ignore")
network = DigitClassifier()
network.load_state_dict(load_file("model.safetensors"))
network.eval()
sample = (torch.zeros(2, 784),)
named = {"input_names": ["images"], "output_names": ["scores"]}
seconds = {}

started = time.perf_counter()
torch.onnx.export(
    network,
    sample,
    "traced.onnx",
    dynamo=False,
    opset_version=17,
    dynamic_axes={"images": {0: "n"}, "scores": {0: "n"}},
    **named,
)
seconds["traced"] = time.perf_counter() - started

started = time.perf_counter()
torch.onnx.export(
    network,
    sample,
    "dynamo.onnx",
    dynamo=True,
    external_data=False,
    verbose=False,
    dynamic_shapes={"images": {0: torch.export.Dim("n")}},
    **named,
)
seconds["dynamo"] = time.perf_counter() - started
Path("exporters.json").write_text(json.dumps(seconds))
