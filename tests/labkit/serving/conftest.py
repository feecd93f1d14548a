"""A model, rows and what it should answer to them."""

from dataclasses import dataclass

import numpy as np
import pytest

from labkit.models.store import models_folder, prepare


@dataclass(frozen=True)
class Digits:
    folder: object
    rows: np.ndarray
    scores: np.ndarray


@pytest.fixture(scope="session")
def digits():
    folder = models_folder() / "digits"
    prepare(folder, say=lambda _: None)
    with np.load(folder / "reference.npz", allow_pickle=False) as reference:
        return Digits(folder, reference["images"].astype(np.float32), reference["scores"])
