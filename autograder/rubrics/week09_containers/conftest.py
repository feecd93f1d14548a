"""What the checks of week 9 share: the engine, the learner's image, and a container of it."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from autograder.fixtures import copy_work
from autograder.images import Builder
from autograder.rubric import progress
from labkit.course import find_course
from labkit.engines.guarded import engine_for_work
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
def engine():
    """The engine that the learner's images are built and run on; when graded, one of their own."""
    with engine_for_work() as engine:
        yield engine


@pytest.fixture(scope="session")
def handout(lab_name):
    """The lab's folder as it was handed out."""
    course = find_course()
    return next(lab for lab in course.labs if lab.name == lab_name).handout


@pytest.fixture(scope="session")
def lay():
    """Copies files into a folder and puts the model that was handed out beside them."""
    return copy_with_model


@pytest.fixture(scope="session")
def context(submitted, scratch):
    """A copy of the learner's files with the model as it was handed out."""
    return copy_with_model(submitted, scratch / "context")


@pytest.fixture(scope="session")
def builder(engine):
    """Builds images that are removed at the end; tells its steps as progress."""
    with Builder(engine, say=progress) as build:
        yield build


def copy_with_model(submitted: Path, target: Path) -> Path:
    """Copy a lab's files to `target` and put the model that was handed out beside them."""
    copy_work(submitted, target)
    shutil.copyfile(models_folder() / "digits" / "model.onnx", target / "model.onnx")
    return target
