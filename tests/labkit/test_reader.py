"""The model of lab 11-05: two versions that read digits, and for which batching pays."""

from __future__ import annotations

import json

import numpy as np
import onnxruntime
import pytest

from labkit.models import models_folder, reader


@pytest.fixture(scope="module")
def folder():
    target = models_folder() / "reader"
    reader.prepare(target, say=lambda _: None)
    return target


@pytest.fixture(scope="module")
def reference(folder):
    with np.load(folder / "reference.npz", allow_pickle=False) as arrays:
        return dict(arrays)


def session_of(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def test_it_is_made_once(folder):
    made = (folder / "model-1.onnx").stat().st_mtime_ns
    about = reader.prepare(folder, say=pytest.fail)
    assert (folder / "model-1.onnx").stat().st_mtime_ns == made
    assert about == json.loads((folder / "about.json").read_text())


def test_the_second_version_read_more_and_reads_better(folder):
    about = json.loads((folder / "about.json").read_text())
    assert about["training_images"] == {"1": 2000, "2": 4000}
    assert 0.9 < about["accuracy"]["1"] < about["accuracy"]["2"]


@pytest.mark.parametrize("version", ["1", "2"])
def test_one_image_gets_the_scores_that_it_gets_among_many(folder, reference, version):
    session = session_of(folder / f"model-{version}.onnx")
    wanted = reference[f"scores_{version}"]
    for rows in ([0], [1, 2, 3], list(range(40))):
        (scores,) = session.run(None, {"images": reference["images"][rows].astype(np.float32)})
        assert np.abs(scores - wanted[rows]).max() < 1e-4


def test_no_image_gets_the_same_scores_from_both_versions(reference):
    apart = np.abs(reference["scores_1"] - reference["scores_2"]).max(axis=1)
    assert apart.min() > 0.01


def test_learners_get_no_scores(folder):
    with np.load(folder / "samples.npz", allow_pickle=False) as samples:
        assert set(samples) == {"images", "labels"}
