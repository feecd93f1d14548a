"""Makes student_0.safetensors to student_4.safetensors and promise.json. `python distill.py`."""

import numpy as np
import torch
from model import DigitClassifier
from safetensors.torch import load_file


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
    # images (4000, 784), labels (200,) of the first of them; validation_images and validation_labels (200)
    data = {name: torch.from_numpy(array) for name, array in arrays.items()}

# Yours: five students, from the seeds 0 to 4, and the accuracy that you promise for them.
