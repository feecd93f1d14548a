"""Lab week11/model_optimization: eight bits, fewer weights, a student, each measured beside the model."""

import json
import math
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.stats import ttest_ind

from autograder.rubric import after, credit, needs, points, progress, reading, require
from autograder.rubrics.week11_serving.scripts import Scripts
from labkit.errors import WorkFault
from labkit.isolation.tensors import read_tensors
from labkit.models import models_folder
from labkit.models.comparison import Bounds, judge_loss, judge_speedup, points_lost, speedup
from labkit.models.graphs import BATCH, describe

how_few_bits = reading(
    "how_few_bits",
    points=2,
    criteria=[
        (1, "eight and four bits cost next to nothing, and below that the loss comes at once, with figures"),
        (
            1,
            "training while rounding lets the other weights make up for the rounding: it pays where rounding "
            "hurts, and nowhere else",
        ),
    ],
)
what_it_bought = reading(
    "what_it_bought",
    points=2,
    criteria=[
        (1, "zeros in a dense matrix are stored and multiplied like other numbers; removed channels are not"),
        (1, "names a variant that gains in one column and not in another, and says for whom it is right"),
    ],
)

ASSETS = ("model.py", "model.safetensors", "model.onnx", "few_labels.npz")
STUDENTS = 5
STUDENT_SHAPES = {
    "hidden.weight": (16, 784),
    "hidden.bias": (16,),
    "scores.weight": (10, 16),
    "scores.bias": (10,),
}
SMALLER = 3
FASTER = 1.5
CONFIDENCE = 0.99


# ---- what is judged ---------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def few_labels():
    with np.load(models_folder() / "digits" / "few_labels.npz", allow_pickle=False) as arrays:
        return dict(arrays)


@dataclass(frozen=True)
class Unseen:
    """Images `(800, 784)` that neither the model nor the learner has seen, and their labels.

    Attributes:
        right: For each, whether the model is right.
    """

    images: np.ndarray
    labels: np.ndarray
    right: np.ndarray


@pytest.fixture(scope="session")
def unseen(few_labels):
    known = len(few_labels["validation_labels"])
    with np.load(models_folder() / "digits" / "reference.npz", allow_pickle=False) as reference:
        labels = reference["labels"][known:]
        right = reference["scores"][known:].argmax(axis=1) == labels
        return Unseen(reference["images"][known:], labels, right)


@pytest.fixture(scope="session")
def scripts(submitted, scratch, logs):
    ran = Scripts(submitted, scratch, assets=ASSETS, log=logs / "04_model_optimization")
    (ran.made / "model.onnx").write_bytes((models_folder() / "digits" / "model.onnx").read_bytes())
    return ran


@pytest.fixture(scope="session")
def original():
    """What model.onnx holds."""
    return describe(models_folder() / "digits" / "model.onnx")


@pytest.fixture(scope="session")
def quantized(scripts):
    scripts.run("quantize.py", ["int8.onnx"])
    return scripts.ask("describe", "int8.onnx")


@pytest.fixture(scope="session")
def pruned(scripts):
    scripts.run("prune.py", ["pruned.onnx"])
    return scripts.ask("describe", "pruned.onnx")


@pytest.fixture(scope="session")
def distilled(scripts):
    return scripts.run("distill.py", [*(f"student_{n}.safetensors" for n in range(STUDENTS)), "promise.json"])


@pytest.fixture(scope="session")
def accuracies(distilled, unseen):
    """Each student's accuracy on unseen images."""
    return np.array([accuracy(answers(file, unseen.images), unseen.labels) for file in distilled[:STUDENTS]])


# ---- the checks -------------------------------------------------------------------------------------------


@points(
    1,
    hints=[
        "256 steps reach from the lowest value to the highest, and one of them has to be zero exactly.",
        "scale = (high - low) / 255, and zero_point is the step that stands for 0.0: round(-low / scale).",
        "A step is round(value / scale) + zero_point, cut to 0 to 255. Back is (step - zero_point) * scale.",
    ],
)
def test_numbers(submitted):
    """knows how eight bits stand for a range of values"""
    wanted = {"scale": 0.02, "zero_point": 60, "step": 123, "clipped": 255, "back": 1.26}
    file = submitted / "answers.json"
    if not file.is_file():
        raise WorkFault(
            "No answer is recorded yet.", next_step="Run the cell that records your functions' values."
        )
    try:
        given = json.loads(file.read_text())
        right = [
            name for name, value in wanted.items() if math.isclose(float(given[name]), value, abs_tol=1e-6)
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise WorkFault(
            "answers.json is not what the notebook writes.", next_step="Run the cell that records it again."
        ) from error
    wrong = ", ".join(name for name in wanted if name not in right)
    credit(len(right), len(wanted), f"{len(right)} of {len(wanted)} values", cause=f"Not right: {wrong}.")


@points(
    2,
    hints=[
        "What fills model.onnx is its weights, four bytes each. How many bytes does an int8 take?",
        "onnxruntime.quantization has quantize_dynamic and quantize_static: both read a file and write one.",
    ],
)
@needs("scripts")
def test_quantized_size(quantized, original):
    """int8.onnx is at least three times smaller"""
    ratio = original["bytes"] / quantized["bytes"]
    require(
        ratio >= SMALLER,
        f"{original['bytes'] / 1e6:.2f} MB before, {quantized['bytes'] / 1e6:.2f} MB after, "
        f"{ratio:.1f} times smaller",
        cause=f"Its weights are {kinds(quantized)}.",
    )


@after("test_quantized_size")
@points(
    2,
    hints=[
        "Does your model get the images as model.onnx does, grey levels from 0 to 255?",
        "Static quantisation learns the activations' ranges from the images that you show it: real ones, in "
        "the range in which they will come.",
        "A few hundred of the images in few_labels.npz, as float32, under the input's name: images.",
    ],
)
@needs("scripts")
def test_quantized_accuracy(scripts, unseen):
    """int8.onnx is at most one point less accurate than the model"""
    require(judge_loss(loss(scripts, "int8.onnx", unseen), at_most=1.0), cause="On images that nobody saw.")


@points(
    2,
    hints=[
        "A weight that is zero takes four bytes as well, and is multiplied like the others.",
        "Make a smaller network: fewer channels in each layer, with the weights of those that you keep. "
        "A channel that goes takes its weights in the next layer with it.",
        "Keep those whose filters have the largest norm. After the flatten each channel is 49 columns.",
    ],
)
@needs("scripts")
def test_pruned_size(pruned, original):
    """the pruned weights are gone from pruned.onnx, not zeroed"""
    floats = pruned["types"].get("FLOAT", 0)
    require(
        floats == pruned["weights"],
        f"the weights of pruned.onnx are {kinds(pruned)}",
        cause="This check is about pruning: leave the weights that stay as they are, 32 bits each.",
    )
    share = pruned["weights"] / original["weights"]
    zeros = pruned["zeros"] / max(pruned["weights"], 1)
    said = f"{pruned['weights']:,} of {original['weights']:,} weights are left, {zeros:.0%} of them zero"
    small = pruned["bytes"] * 2 <= original["bytes"]
    require(
        0 < share <= 0.5 and zeros < 0.5 and small,
        said,
        cause="At most half may be left." if share > 0.5 else "Zeros are stored like other numbers.",
    )


@after("test_pruned_size")
@points(
    2,
    hints=[
        "Right after pruning the model has lost some points. What could the weights that stay do about it?",
        "Train the smaller network for a few epochs. You have few labels, but you have a model that labels "
        "any image: the one that you pruned.",
        "Kullback-Leibler divergence between the two models' softmax, Adam at 1e-3, 3 epochs of all images.",
    ],
)
@needs("scripts")
def test_pruned_accuracy(scripts, unseen):
    """pruned.onnx is at most two points less accurate than the model"""
    require(judge_loss(loss(scripts, "pruned.onnx", unseen), at_most=2.0), cause="On images that nobody saw.")


@after("test_pruned_size")
@points(
    1,
    hints=[
        "Most weights lie in the first linear layer. Where is most of the arithmetic?",
        "The second convolution does nine tenths of it: its channels, in and out, have to become fewer.",
    ],
)
@needs("quiet machine")
def test_pruned_speed(scripts, unseen):
    """pruned.onnx is at least one and a half times as fast, beside the model"""
    progress("timing both models in turns")
    seconds = scripts.ask("race", ["model.onnx", "pruned.onnx"], unseen.images[:BATCH])
    judged = judge_speedup(speedup(np.asarray(seconds)), at_least=FASTER)
    require(judged, cause="Measured in turns, 32 images at a time on one thread.")


@points(
    2,
    hints=[
        "The labels of a few hundred images say little. Whom can you ask about the other thousands?",
        "Let the model score all the images and train the student on its scores, softened by a temperature: "
        "softmax(scores / 3) says also what a digit could nearly have been.",
        "labkit.models.student.train takes a loss of the student's scores and the rows that they are for: "
        "kl_div(log_softmax(scores / 3, 1), softened[rows], reduction='batchmean').",
    ],
)
@needs("scripts")
def test_student(accuracies, distilled, few_labels, unseen):
    """five students, on the whole better than the same network trained alone"""
    contents = {file.read_bytes() for file in distilled[:STUDENTS]}
    require(
        len(contents) == STUDENTS,
        f"{len(contents)} different students of {STUDENTS}",
        cause="Train each from another seed: the spread between them says what is chance.",
    )
    progress("training five students alone, to compare")
    alone = trained_alone(few_labels, unseen)
    bound = gain(accuracies, alone)
    said = f"{spread(accuracies)} distilled, {spread(alone)} alone (mean and spread of five seeds)"
    require(
        bound > 0,
        f"{said}: better by at least {100 * bound:.1f} points ({CONFIDENCE:.0%})",
        cause="Alone means: on every label that you were given.",
    )


@points(
    1,
    hints=[
        "Which of the images have your students never seen, neither with a label nor with a score?",
        "promise.json holds the mean accuracy of the five on the validation images.",
    ],
)
@needs("scripts")
def test_promise(accuracies, distilled, few_labels, unseen):
    """the accuracy that promise.json promises is the one that unseen images show"""
    try:
        promised = float(json.loads(distilled[-1].read_text())["accuracy"])
    except (ValueError, KeyError, TypeError) as error:
        raise WorkFault(
            "promise.json holds no accuracy.", next_step='Write {"accuracy": 0.87}, with your own number.'
        ) from error
    true = float(accuracies.mean())
    images = len(few_labels["validation_labels"])
    slack = 3 * math.sqrt(true * (1 - true) * (1 / images + 1 / len(unseen.labels)))
    require(
        abs(promised - true) <= slack,
        f"promised {promised:.3f}, found {true:.3f} on others; by chance they may differ by {slack:.3f}",
        cause="Measured on images that the students had been trained on?",
    )


# ---- what the checks use ----------------------------------------------------------------------------------


def kinds(described):
    """The types of a graph's weights in words."""
    total = max(sum(described["types"].values()), 1)
    shares = sorted(described["types"].items(), key=lambda each: -each[1])
    return ", ".join(f"{100 * count / total:.0f} % {name}" for name, count in shares) or "nowhere to be found"


def accuracy(scores, labels):
    return float((scores.argmax(axis=1) == labels).mean())


def loss(scripts, name, unseen) -> Bounds:
    """The points of accuracy by which a graph is worse than the model."""
    scores = scripts.ask("scores", name, unseen.images)
    if scores.shape != (len(unseen.images), 10):
        raise WorkFault(
            f"{name} answers an array of shape {scores.shape} to {len(unseen.images)} images.",
            why="A row of ten scores for each was expected, as model.onnx answers.",
        )
    return points_lost(unseen.right, scores.argmax(axis=1) == unseen.labels)


def answers(file, images):
    """A student's scores, worked out from its weights; no code of the learner's is needed."""
    tensors = read_tensors(file)
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    if shapes != STUDENT_SHAPES:
        raise WorkFault(
            f"{file.name} does not hold a Student's weights.",
            why=f"It holds {shapes}."[:200],
            next_step="Save the state_dict() of labkit.models.student.Student with safetensors.",
        )
    hidden = images / 255 @ tensors["hidden.weight"].T + tensors["hidden.bias"]
    return np.maximum(hidden, 0) @ tensors["scores.weight"].T + tensors["scores.bias"]


def trained_alone(few_labels, unseen):
    """Accuracies of five students that were trained on every label that was handed out."""
    import torch

    from labkit.models.student import train_alone

    torch.set_num_threads(1)
    labelled = len(few_labels["labels"])
    images = np.concatenate([few_labels["images"][:labelled], few_labels["validation_images"]])
    labels = np.concatenate([few_labels["labels"], few_labels["validation_labels"]])
    known = torch.from_numpy(images), torch.from_numpy(labels)
    students = [train_alone(*known, seed=seed) for seed in range(STUDENTS)]
    with torch.no_grad():
        scores = [each(torch.from_numpy(unseen.images)).numpy() for each in students]
    return np.array([accuracy(each, unseen.labels) for each in scores])


def gain(distilled, alone):
    """The least by which the first are better on the mean, with confidence (Welch's t interval)."""
    tested = ttest_ind(distilled, alone, equal_var=False, alternative="greater")
    return float(tested.confidence_interval(CONFIDENCE).low)


def spread(accuracies):
    return f"{accuracies.mean():.3f} ± {accuracies.std(ddof=1):.3f}"
