"""A learner's model file, read under a guard: its tensors come out as arrays, and no code of it runs here."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labkit.errors import WorkFault
from labkit.isolation.functions import LearnerFunction
from labkit.isolation.guard import Guard

KINDS = (".safetensors", ".pt", ".pth", ".npz", ".onnx")


def read_tensors(file: Path, *, guard: Guard | None = None) -> dict[str, NDArray[Any]]:
    """The tensors of a model file by name.

    A `.pt` is loaded with `weights_only`, an `.npz` without pickles; of an `.onnx` the initializers are read
    (where the package onnx is installed).

    Args:
        file: The file; untrusted.
        guard: What keeps its loading apart; that of this process by default.

    Raises:
        WorkFault: It is none of these, or its loading failed.
    """
    if file.suffix not in KINDS or not file.is_file() or file.is_symlink():
        raise WorkFault(f"{file.name} is no model file.", next_step=f"One of {', '.join(KINDS)} is.")
    with tempfile.TemporaryDirectory(prefix="workbook-model-") as scratch:
        place = Path(scratch) / "model"
        place.mkdir()
        shutil.copyfile(file, place / f"model{file.suffix}")
        log = Path(scratch) / "log"
        with LearnerFunction("labkit.isolation.tensors:load", place, log=log, guard=guard) as inside:
            found = inside(f"model{file.suffix}")
    if not isinstance(found, dict) or not all(isinstance(value, np.ndarray) for value in found.values()):
        raise WorkFault(f"{file.name} does not hold tensors by name.")
    return found


def load(name: str) -> dict[str, Any]:
    """Inside: the tensors of a file in the current folder."""
    match Path(name).suffix:
        case ".safetensors":
            from safetensors.numpy import load_file

            return dict(load_file(name))
        case ".npz":
            with np.load(name, allow_pickle=False) as arrays:
                return dict(arrays)
        case ".onnx":
            from importlib import import_module

            onnx = import_module("onnx")
            return {each.name: onnx.numpy_helper.to_array(each) for each in onnx.load(name).graph.initializer}
        case _:
            import torch

            return dict(torch.load(name, weights_only=True, map_location="cpu"))
