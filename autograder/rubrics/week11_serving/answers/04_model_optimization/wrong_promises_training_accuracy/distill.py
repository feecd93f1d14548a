"""Makes five students that have learned the labels, and the accuracy to expect of them."""

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from labkit.models.student import train_alone


def accuracy(student, images, labels):
    """The part of the images that the student gets right."""
    with torch.no_grad():
        return float((student(images).argmax(1) == labels).float().mean())


with np.load("few_labels.npz") as arrays:
    data = {name: torch.from_numpy(array) for name, array in arrays.items()}
images = torch.cat([data["images"][: len(data["labels"])], data["validation_images"]])
labels = torch.cat([data["labels"], data["validation_labels"]])
accuracies = []
for seed in range(5):
    student = train_alone(images, labels, seed=seed)
    save_file(student.state_dict(), f"student_{seed}.safetensors")
    accuracies.append(accuracy(student, images, labels))
    print(f"student {seed}: {accuracies[-1]:.3f} on all labelled images")
Path("promise.json").write_text(json.dumps({"accuracy": sum(accuracies) / len(accuracies)}))
