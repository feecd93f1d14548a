"""Makes pruned.onnx of model.safetensors: the smallest weights are set to zero."""

import torch
from model import DigitClassifier
from safetensors.torch import load_file
from torch import nn
from torch.nn.utils import prune


def load():
    """The model as it was handed out."""
    network = DigitClassifier()
    network.load_state_dict(load_file("model.safetensors"))
    return network.eval()


def export(network, path):
    """Write a network as an ONNX graph for any number of images."""
    torch.onnx.export(
        network.eval(),
        (torch.zeros(2, 784),),
        path,
        input_names=["images"],
        output_names=["scores"],
        dynamic_axes={"images": {0: "n"}, "scores": {0: "n"}},
        opset_version=17,
        dynamo=False,
    )


if __name__ == "__main__":
    network = load()
    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    for layer in layers:
        prune.l1_unstructured(layer, "weight", amount=0.8)
        prune.remove(layer, "weight")
    export(network, "pruned.onnx")
