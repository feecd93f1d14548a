"""The model, its data and its state as bytes. Yours to use, not to change.

A small network for digits: 784 pixels, 32 hidden units, 10 scores. Its training is deterministic: the same
steps in the same order give the same weights on any machine of one kind.
"""

import numpy as np
import torch
from safetensors.torch import load, save

PIXELS, HIDDEN, DIGITS = 784, 32, 10


def new_model():
    """A fresh network and its optimizer, the same ones every time."""
    torch.set_num_threads(1)
    torch.manual_seed(7)
    model = torch.nn.Sequential(
        torch.nn.Linear(PIXELS, HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, DIGITS)
    )
    return model, torch.optim.Adam(model.parameters(), lr=0.004)


def batch(bucket, step):
    """What a step, counted from 0, trains on: images `(n, 784)` and labels `(n,)`. Each has its own data."""
    content, _ = bucket.read(f"data/{step:04d}.safetensors")
    found = load(content)
    return found["images"], found["labels"]


def train_step(model, optimizer, images, labels):
    """One step of training; gives the loss."""
    optimizer.zero_grad()
    loss = torch.nn.functional.cross_entropy(model(images), labels)
    loss.backward()
    optimizer.step()
    return loss.item()


def pack(model, optimizer, step):
    """All that training needs to go on as if nothing had happened, as bytes: weights, moments, step."""
    state = {f"model.{name}": value for name, value in model.state_dict().items()}
    for number, moments in optimizer.state_dict()["state"].items():
        for name, value in moments.items():
            state[f"optimizer.{number}.{name}"] = torch.as_tensor(value).clone()
    return save({**state, "step": torch.tensor(step)})


def unpack(content, model, optimizer):
    """Put the state back; gives the step to go on with. No checksum is in it: flipped bits go unnoticed."""
    state = load(content)
    model.load_state_dict({k[len("model.") :]: v for k, v in state.items() if k.startswith("model.")})
    moments = {}
    for key, value in state.items():
        if key.startswith("optimizer."):
            _, number, name = key.split(".")
            moments.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})
    return int(state["step"])


def artifact(model):
    """The trained network as the registry keeps it and the edge serves it: four float32 arrays, no code."""
    weights = model.state_dict()
    return save(
        {
            "w1": weights["0.weight"].T.contiguous(),
            "b1": weights["0.bias"],
            "w2": weights["2.weight"].T.contiguous(),
            "b2": weights["2.bias"],
        }
    )


def accuracy(model, images, labels):
    """The share of images that get their digit."""
    with torch.no_grad():
        scores = model(torch.as_tensor(np.asarray(images, dtype=np.float32)))
    return float((scores.argmax(1).numpy() == np.asarray(labels)).mean())
