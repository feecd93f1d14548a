"""The training code of this lab, as the image `readings-trainer:1` would hold it; NumPy is all it needs.

A table is a CSV file: id, six sensor readings, and the condition of the machine that they were taken from
(0 good, 1 worn, 2 failing). The model is a linear one on random waves (Rahimi and Recht, "Random Features for
Large-Scale Kernel Machines", 2007) with two hyperparameters: `gamma`, how quickly the waves change, and `l2`,
how strongly large weights are held back.
"""

import numpy as np

CONDITIONS = 3
WAVES = 200
DEFAULTS = {"gamma": 2.0, "l2": 1e-4}


def read(path):
    """A table's ids `(n,)`, readings `(n, 6)` and conditions `(n,)`."""
    table = np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2)
    return table[:, 0].astype(int), table[:, 1:-1], table[:, -1].astype(int)


def write(path, ids, readings, conditions):
    """Write a table."""
    names = ["id", *(f"reading_{number}" for number in range(1, readings.shape[1] + 1)), "condition"]
    table = np.column_stack([ids, readings, conditions])
    formats = ["%d", *["%.5f"] * readings.shape[1], "%d"]
    np.savetxt(path, table, delimiter=",", header=",".join(names), comments="", fmt=formats)


def fit(readings, conditions, *, gamma, l2, seed=0):
    """Train a model; gives its arrays by name."""
    rng = np.random.default_rng(seed)
    mean, spread = readings.mean(axis=0), readings.std(axis=0)
    model = {
        "mean": mean,
        "spread": spread,
        "waves": rng.normal(0, np.sqrt(2 * gamma), (readings.shape[1], WAVES)),
        "phases": rng.uniform(0, 2 * np.pi, WAVES),
    }
    features = _features(model, readings)
    targets = np.eye(CONDITIONS)[conditions]
    ridge = features.T @ features + l2 * len(readings) * np.eye(WAVES)
    return {**model, "weights": np.linalg.solve(ridge, features.T @ targets)}


def scores(model, readings):
    """One score for each condition, `(n, 3)`; the highest is the answer."""
    return _features(model, np.asarray(readings, dtype=float)) @ model["weights"]


def accuracy(model, readings, conditions):
    """The share of machines whose condition the model names rightly."""
    return float((scores(model, readings).argmax(axis=1) == conditions).mean())


def save(model, path):
    """Write a model's arrays into one file, under exactly that name."""
    with open(path, "wb") as file:
        np.savez(file, **model)


def load(path):
    """The model in a file."""
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def _features(model, readings):
    scaled = (readings - model["mean"]) / model["spread"]
    return np.sqrt(2 / WAVES) * np.cos(scaled @ model["waves"] + model["phases"])
