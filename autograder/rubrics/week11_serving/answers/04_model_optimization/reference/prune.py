"""Makes pruned.onnx of model.safetensors: half the channels of every layer, trained a little more."""

import copy

import numpy as np
import torch
from model import DigitClassifier
from safetensors.torch import load_file
from torch import nn
from torch.nn.functional import kl_div, log_softmax

EPOCHS = 3
PIXELS_AFTER_POOLING = 7 * 7


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


def strongest(layer):
    """The half of a layer's outputs whose weights have the largest norm, in their order."""
    norms = layer.weight.detach().flatten(1).norm(dim=1)
    return norms.topk(len(norms) // 2).indices.sort().values


def convolution(layer, inputs, outputs):
    """A convolution with only these inputs and outputs."""
    smaller = nn.Conv2d(len(inputs), len(outputs), layer.kernel_size, padding=layer.padding)
    smaller.weight.data = layer.weight.data[outputs][:, inputs].clone()
    smaller.bias.data = layer.bias.data[outputs].clone()
    return smaller


def linear(layer, inputs, outputs):
    """A linear layer with only these inputs and outputs."""
    smaller = nn.Linear(len(inputs), len(outputs))
    smaller.weight.data = layer.weight.data[outputs][:, inputs].clone()
    smaller.bias.data = layer.bias.data[outputs].clone()
    return smaller


def pruned(network):
    """A copy of the network with half the channels; what is left keeps its weights."""
    smaller = copy.deepcopy(network)
    features, head = smaller.features, smaller.head
    first, second, hidden = strongest(features[0]), strongest(features[3]), strongest(head[1])
    # After the flatten, channel c is the columns 49 c to 49 c + 48.
    columns = (second[:, None] * PIXELS_AFTER_POOLING + torch.arange(PIXELS_AFTER_POOLING)).flatten()
    features[0] = convolution(features[0], torch.arange(1), first)
    features[3] = convolution(features[3], first, second)
    head[1] = linear(head[1], columns, hidden)
    head[4] = linear(head[4], hidden, torch.arange(10))
    return smaller


def train(smaller, network, images):
    """Let the smaller network learn the scores that the original gives to these images."""
    with torch.no_grad():
        wanted = torch.cat([log_softmax(network(part), 1) for part in images.split(500)])
    smaller.train()
    optimizer = torch.optim.Adam(smaller.parameters(), lr=1e-3)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(images)).split(64):
            optimizer.zero_grad()
            scores = log_softmax(smaller(images[rows]), 1)
            kl_div(scores, wanted[rows], reduction="batchmean", log_target=True).backward()
            optimizer.step()


if __name__ == "__main__":
    torch.manual_seed(0)
    with np.load("few_labels.npz") as data:
        images = torch.from_numpy(data["images"])
    network = load()
    smaller = pruned(network)
    train(smaller, network, images)
    export(smaller, "pruned.onnx")
