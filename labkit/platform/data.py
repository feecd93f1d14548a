"""What is trained on, step by step, and made-up models for an edge that does not care what they know."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

from labkit.errors import WorkFault
from labkit.models import models_folder

BATCH = 48
HELD_OUT = 200
SHAPES = {"w1": (784, 32), "b1": (32,), "w2": (32, 10), "b2": (10,)}


@dataclass(frozen=True)
class Digits:
    """Images `(n, 784)` between 0 and 1, and their labels `(n,)`."""

    images: NDArray[np.float32]
    labels: NDArray[np.int64]


def training_data(steps: int, models: Path | None = None) -> tuple[dict[str, bytes], Digits]:
    """The objects that a training of so many steps reads, by key, and the digits that it never sees."""
    with np.load((models or models_folder()) / "digits" / "reference.npz", allow_pickle=False) as reference:
        images = reference["images"].astype(np.float32) / max(1.0, float(reference["images"].max()))
        labels = reference["labels"].astype(np.int64)
    generator = np.random.default_rng(12)
    objects = {}
    for step in range(steps):
        rows = generator.choice(len(images) - HELD_OUT, BATCH, replace=False)
        objects[f"data/{step:04d}.safetensors"] = save({"images": images[rows], "labels": labels[rows]})
    return objects, Digits(images[-HELD_OUT:], labels[-HELD_OUT:])


def weights(seed: int) -> bytes:
    """An artifact as a training writes it, with weights drawn at random."""
    generator = np.random.default_rng(seed)
    return save({name: generator.normal(0, 0.1, shape).astype(np.float32) for name, shape in SHAPES.items()})


def arrays_of(artifact: bytes) -> dict[str, NDArray[np.float32]]:
    """The arrays of an artifact that somebody's training wrote.

    Raises:
        WorkFault: It is none.
    """
    try:
        arrays = load(artifact)
    except Exception as error:  # whatever safetensors says of bytes that are none
        raise WorkFault(
            "The trained model is no safetensors file.", next_step="Write model.artifact(model)."
        ) from error
    shapes = {name: array.shape for name, array in arrays.items()}
    if shapes != SHAPES:
        raise WorkFault(f"The trained model holds {shapes}.", why=f"{SHAPES} is what model.artifact gives.")
    return {name: np.asarray(array, dtype=np.float32) for name, array in arrays.items()}


def scores(artifact: bytes, images: NDArray[np.float32]) -> NDArray[np.float64]:
    """What the model of an artifact answers, `(n, 10)`."""
    arrays = {name: array.astype(np.float64) for name, array in arrays_of(artifact).items()}
    hidden = np.maximum(images @ arrays["w1"] + arrays["b1"], 0)
    answered: NDArray[np.float64] = hidden @ arrays["w2"] + arrays["b2"]
    return answered
