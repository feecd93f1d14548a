"""What lab 11-04 measures of ONNX graphs, and how two models are held against each other."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from labkit.models import graphs
from labkit.models.comparison import Bounds, judge_loss, judge_speedup, points_lost, speedup
from labkit.verdicts import Verdict


@pytest.fixture
def graph(tmp_path):
    """`x @ W`, of which every second row of W is zero, in a file; gives the file and W."""
    weights = np.arange(784 * 10, dtype=np.float32).reshape(784, 10) / 7840
    weights[1::2] = 0
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node("MatMul", ["images", "W"], ["scores"])],
            "one",
            [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 784])],
            [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 10])],
            [numpy_helper.from_array(weights, "W")],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
    )
    onnx.save(model, tmp_path / "one.onnx")
    return tmp_path / "one.onnx", weights


def test_a_graph_is_described(graph):
    file, weights = graph
    assert graphs.describe(file) == {
        "bytes": file.stat().st_size,
        "weights": 7840,
        "zeros": int((weights == 0).sum()),
        "types": {"FLOAT": 7840},
        "operators": {"MatMul": 1},
        "inputs": {"images": ["n", 784]},
        "outputs": {"scores": ["n", 10]},
        "opset": 17,
    }


@pytest.mark.parametrize("rows", [0, 1, 3, 5, 100])
def test_its_answers_are_the_same_however_many_rows_it_is_given(graph, rows):
    file, weights = graph
    images = np.random.default_rng(1).integers(0, 255, (5, 784), dtype=np.uint8)
    answered = graphs.scores(file, images, rows, as_written=True)
    assert answered.dtype == np.float32
    np.testing.assert_allclose(answered, images.astype(np.float32) @ weights, rtol=1e-4)


def test_a_race_times_each_graph_in_each_round(graph):
    file, _ = graph
    seconds = graphs.race([file, file], np.zeros((2, 784)), rounds=4, runs=2)
    assert seconds.shape == (4, 2)
    assert (seconds > 0).all()


def right(*counts: int) -> tuple[np.ndarray, np.ndarray]:
    """Two models on images: both right, the first alone, the second alone, both wrong."""
    first = np.repeat([True, True, False, False], counts)
    second = np.repeat([True, False, True, False], counts)
    return first, second


def test_what_is_lost_is_counted_in_pairs():
    lost = points_lost(*right(900, 30, 10, 60))
    assert lost.measured == pytest.approx(2.0)
    # Agresti and Min's adjustment, by hand: (30.5 - 10.5) / 1002, and 1.645 standard errors to each side.
    center = 100 * 20 / 1002
    error = 100 * 1.6449 * np.sqrt(41 - 400 / 1002) / 1002
    assert (lost.low, lost.high) == pytest.approx((center - error, center + error), rel=1e-3)
    turned = points_lost(*reversed(right(900, 30, 10, 60)))
    assert (turned.measured, turned.low, turned.high) == pytest.approx((-2.0, -lost.high, -lost.low))


def test_its_bounds_hold_as_often_as_they_say():
    chance, truth, held = np.random.default_rng(3), 1.0, 0
    for _ in range(400):
        kind = chance.choice(4, 2000, p=[0.95, 0.02, 0.01, 0.02])
        held += points_lost(kind <= 1, (kind == 0) | (kind == 2)).high >= truth
    assert 0.92 <= held / 400 <= 0.98


def test_a_speedup_is_the_median_of_the_rounds_ratios():
    second = np.linspace(1, 2, 40)
    faster = speedup(np.column_stack([3 * second, second]))
    assert (faster.measured, faster.low, faster.high) == pytest.approx((3, 3, 3))
    noisy = np.column_stack([np.r_[np.full(39, 2.0), 200.0], np.ones(40)])
    assert speedup(noisy).high == 2.0


@pytest.mark.parametrize(
    ("lost", "verdict"),
    [((0.2, -0.3, 0.7), "PASSED"), ((1.4, 0.8, 2.0), "FAILED"), ((0.8, 0.2, 1.4), "INCONCLUSIVE")],
)
def test_a_loss_is_judged_by_its_bounds(lost, verdict):
    assert judge_loss(Bounds(*lost), at_most=1).verdict is Verdict[verdict]


@pytest.mark.parametrize(
    ("faster", "verdict"),
    [((2.5, 2.1, 2.9), "PASSED"), ((1.5, 1.2, 1.9), "FAILED"), ((2.1, 1.9, 2.3), "INCONCLUSIVE")],
)
def test_a_speedup_is_judged_by_its_bounds(faster, verdict):
    assert judge_speedup(Bounds(*faster), at_least=2).verdict is Verdict[verdict]
