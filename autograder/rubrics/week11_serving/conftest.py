"""What the checks of week 11 share: the model as it was handed out, and what it should answer."""

from dataclasses import dataclass

import numpy as np
import pytest

from autograder.rubrics.week11_serving.handed_out import lay
from autograder.rubrics.week11_serving.mixed_load import make_bodies
from labkit.models import models_folder


@dataclass(frozen=True)
class Digits:
    """Held-out images `(1000, 784)`, and the scores `(1000, 10)` that the model gives them."""

    images: np.ndarray
    scores: np.ndarray


@pytest.fixture(scope="session")
def digits():
    with np.load(models_folder() / "digits" / "reference.npz", allow_pickle=False) as reference:
        return Digits(reference["images"], reference["scores"])


@pytest.fixture(scope="session")
def bodies(digits):
    """What the mixed load sends, and what should be answered."""
    return make_bodies(digits.images, digits.scores)


@pytest.fixture(scope="session")
def work(submitted, scratch):
    """A copy of the learner's files with the model as it was handed out."""
    return lay(submitted, scratch / "work")


@pytest.fixture(scope="session")
def copy_of_work(submitted, scratch):
    """Makes another copy of the learner's files, under a name, to tamper with."""
    return lambda name: lay(submitted, scratch / name)
