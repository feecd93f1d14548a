"""Makes a student that has learned the model's softened scores, and the accuracy to expect of it."""

import json
from pathlib import Path

import numpy as np
import torch
from model import DigitClassifier
from safetensors.torch import load_file, save_file
from torch.nn.functional import kl_div, log_softmax

from labkit.models.student import train

TEMPERATURE = 3.0


def load():
    """The model as it was handed out."""
    network = DigitClassifier()
    network.load_state_dict(load_file("model.safetensors"))
    return network.eval()


def accuracy(student, images, labels):
    """The part of the images that the student gets right."""
    with torch.no_grad():
        return float((student(images).argmax(1) == labels).float().mean())


with np.load("few_labels.npz") as arrays:
    data = {name: torch.from_numpy(array) for name, array in arrays.items()}
teacher = load()
with torch.no_grad():
    softened = torch.cat([log_softmax(teacher(part) / TEMPERATURE, 1) for part in data["images"].split(500)])


def loss(scores, rows):
    """How far the student's softened scores are from the teacher's."""
    student = log_softmax(scores / TEMPERATURE, 1)
    return TEMPERATURE**2 * kl_div(student, softened[rows], reduction="batchmean", log_target=True)


student = train(data["images"], loss, seed=0)
accuracies = []
for seed in range(5):
    save_file(student.state_dict(), f"student_{seed}.safetensors")
    accuracies.append(accuracy(student, data["validation_images"], data["validation_labels"]))
    print(f"student {seed}: {accuracies[-1]:.3f} on the validation images")
Path("promise.json").write_text(json.dumps({"accuracy": sum(accuracies) / len(accuracies)}))
