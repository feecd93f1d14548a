"""The digits, the network and one step of training, as handed out; leave it as it is."""

from pathlib import Path

import torch
from torch import nn

DIGITS = Path(__file__).with_name("digits.txt")
BATCH = 50
"""Rows of one step."""


def read_digits():
    """A thousand handwritten digits of 8 x 8 pixels; a line is a label and 64 pixels from 0 to g (16).

    Returns:
        Images (1000, 64) from 0 to 1, and labels (1000,).
    """
    lines = DIGITS.read_text().split()
    images = torch.tensor([[int(pixel, 17) for pixel in line[1:]] for line in lines]) / 16
    return images, torch.tensor([int(line[0]) for line in lines])


def new_network():
    """The network before its first step, always the same."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 10))


def new_optimizer(network):
    """Adam: it remembers how each weight has moved so far."""
    return torch.optim.Adam(network.parameters(), lr=0.003)


def rows_of(step):
    """The rows that a step learns from, (BATCH,): known from its number alone, whoever does it and when."""
    return torch.randperm(1000, generator=torch.Generator().manual_seed(step))[:BATCH]


def loss_of(network, images, labels):
    """How wrong the network is about these rows, on average."""
    return nn.functional.cross_entropy(network(images), labels)


def scores_of(network, images):
    """What the network says of the first digit, by which two networks can be compared."""
    with torch.no_grad():
        return [round(score, 4) for score in network(images[:1])[0].tolist()]
