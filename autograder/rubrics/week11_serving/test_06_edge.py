"""Lab week11/edge: one model as ONNX, INT8, LiteRT and Core ML, the same wherever it runs, and its image."""

import io
import json

import numpy as np
import pytest

from autograder.images import final_base, read_dockerfile
from autograder.rubric import after, credit, needs, points, progress, reading, require
from autograder.rubrics.week11_serving.scripts import Scripts
from labkit import edge
from labkit.errors import WorkFault
from labkit.models import models_folder

what_the_device_gets = reading(
    "what_the_device_gets",
    points=3,
    criteria=[
        (1, "says of what a cold start is made (the runtime's own start, the model's), with figures of both"),
        (1, "says which format or precision they would ship to a named device, by at least two columns"),
        (1, "names what was not measured here (an ARM processor, a phone's accelerator) and how to find out"),
    ],
)

ASSETS = ("model.py", "model.safetensors", "few_labels.npz")
TOLERANCE = 1e-3
INT8_BYTES = 500_000
AGREEMENT = 0.985
LITERT_IMAGES = 200


@pytest.fixture(scope="session")
def scripts(submitted, scratch, logs):
    return Scripts(submitted, scratch, assets=ASSETS, log=logs / "06_edge")


@pytest.fixture(scope="session")
def exported(scripts):
    """What the exported files hold, by name."""
    names = ["model.onnx", "int8.onnx"]
    scripts.run("export.py", names)
    return {name: scripts.ask("describe", name) for name in names}


# ---- the checks -------------------------------------------------------------------------------------------


@points(
    1,
    hints=[
        "First strike out what breaks any of the three limits. What is left?",
        "Of those that are left take the smallest; if none is left, None.",
    ],
)
def test_choice(submitted):
    """chooses the smallest variant that keeps every limit"""
    wanted = {"server": "a", "phone": "b", "frugal": "d", "sensor": "c", "tight": None}
    file = submitted / "answers.json"
    if not file.is_file():
        raise WorkFault(
            "No answer is recorded yet.", next_step="Run the cell that records your function's values."
        )
    try:
        given = json.loads(file.read_text())
        wrong = [name for name, value in wanted.items() if given[name] != value]
    except (ValueError, KeyError, TypeError) as error:
        raise WorkFault(
            "answers.json is not what the notebook writes.", next_step="Run the cell that records it again."
        ) from error
    right = len(wanted) - len(wrong)
    credit(right, len(wanted), f"{right} of {len(wanted)} devices", cause=f"Not right: {', '.join(wrong)}.")


@points(
    2,
    hints=[
        "Ask your file the same image twice. What differs between training and predicting?",
        "The network goes into the file in the mode in which it is exported: eval(), and no training=.",
        "The file takes grey levels from 0 to 255; model.py divides them. Once is enough.",
    ],
)
@needs("scripts")
def test_same_answers(scripts, exported, digits):
    """model.onnx answers what the model does, image by image"""
    images = digits.images[:200]
    given = scripts.ask("scores", "model.onnx", images, 1, True)
    same = agreeing(given, digits.scores[:200])
    credit(
        same,
        len(images),
        f"{same} of {len(images)} unseen images within {TOLERANCE}",
        cause=farthest(given, digits.scores[:200]),
    )


@points(
    2,
    hints=[
        "What does torch.onnx.export write down as the first dimension, unless it is told otherwise?",
        "dynamic_axes={'images': {0: 'n'}, 'scores': {0: 'n'}}, with names for input and output.",
        "A name alone is not enough: a reshape inside may still hold the number of the sample.",
    ],
)
@needs("scripts")
def test_any_batch(scripts, exported, digits):
    """model.onnx takes any number of images at once"""
    (name, shape), *_ = exported["model.onnx"]["inputs"].items()
    require(
        not isinstance(shape[0], int),
        f"the input {name} is {shape}",
        cause=f"It takes {shape[0]} image(s), no more and no fewer.",
    )
    batches = (1, 7, 100)
    reached = 0
    for images in batches:
        try:
            given = scripts.ask("scores", "model.onnx", digits.images[:images])
        except WorkFault:
            continue
        # Whether it answers rightly is another check's business: it has to answer each image for itself.
        alone = scripts.ask("scores", "model.onnx", digits.images[:images], 1)
        reached += given.shape == (images, 10) and bool(np.allclose(given, alone, atol=TOLERANCE))
    credit(
        reached,
        len(batches),
        f"{reached} of {len(batches)} batches ({', '.join(map(str, batches))}) answered like single images",
        cause="A number of the sample is left inside the graph.",
    )


@points(
    1,
    hints=[
        "The lab before has done this: quantize_static or quantize_dynamic, on model.onnx.",
    ],
)
@needs("scripts")
def test_int8_size(exported):
    """int8.onnx fits into 500 kB"""
    quantized = exported["int8.onnx"]
    require(
        quantized["bytes"] <= INT8_BYTES,
        f"{quantized['bytes'] / 1000:.0f} kB",
        cause=f"Its weights are {', '.join(quantized['types']) or 'nowhere'}.",
    )


@after("test_int8_size")
@points(
    1,
    hints=[
        "Count on how many images int8.onnx and model.onnx name the same digit.",
        "Calibrate on the images of few_labels.npz, as float32 and in their own range.",
    ],
)
@needs("scripts")
def test_int8_answers(scripts, digits):
    """int8.onnx names the same digit as the model"""
    given = scripts.ask("scores", "int8.onnx", digits.images)
    if given.shape != digits.scores.shape:
        raise WorkFault(f"int8.onnx answers an array of shape {given.shape} to {len(digits.images)} images.")
    same = int((given.argmax(axis=1) == digits.scores.argmax(axis=1)).sum())
    require(
        same >= AGREEMENT * len(digits.images),
        f"the same digit for {same} of {len(digits.images)} unseen images; {AGREEMENT:.1%} asked",
    )


@points(
    2,
    hints=[
        "litert_torch.convert(module, (sample,)) gives something with export('model.tflite').",
        "Convert it as it predicts: eval() first. And with the weights that were handed out.",
    ],
)
@needs("scripts")
def test_litert(scripts, digits, logs):
    """model.tflite answers what the model does"""
    progress("converting to LiteRT, which takes a while", 30)
    (file,) = scripts.run("to_litert.py", ["model.tflite"], by=edge.run)
    images = scripts.made / "images.npy"
    np.save(images, digits.images[:LITERT_IMAGES])
    left = edge.examine("litert_scores.py", [file, images], makes="scores.npy", log=logs / "litert.log")
    given = np.load(io.BytesIO(left), allow_pickle=False)
    wanted = digits.scores[:LITERT_IMAGES]
    same = agreeing(given, wanted)
    credit(
        same,
        LITERT_IMAGES,
        f"{same} of {LITERT_IMAGES} unseen images within {TOLERANCE}, {file.stat().st_size / 1000:.0f} kB",
        cause=farthest(given, wanted),
    )


@points(
    1,
    hints=[
        "convert(torch.jit.trace(module.eval(), sample), inputs=[TensorType(name='images', shape=(1, 784))])",
        "save('model.mlpackage'), and shutil.make_archive('model.mlpackage', 'zip', '.', 'model.mlpackage').",
    ],
)
@needs("scripts")
def test_coreml(scripts, logs):
    """model.mlpackage.zip is a Core ML program with the model's weights"""
    progress("converting to Core ML, which takes a while", 20)
    (file,) = scripts.run("to_coreml.py", ["model.mlpackage.zip"], by=edge.run)
    weights = models_folder() / "digits" / "model.safetensors"
    left = edge.examine("coreml_report.py", [file, weights], makes="report.json", log=logs / "coreml.log")
    report = json.loads(left)
    require(
        report["kind"] == "mlProgram" and list(report["inputs"]) == ["images"],
        f"a Core ML {report['kind']} with the inputs {report['inputs']}",
        cause="A program with one input, called images, was asked for.",
    )
    require(
        report["weights_found"] == report["weights"],
        f"{report['weights_found']} of its {report['weights']} large weights are the model's; what it "
        "predicts is not measured, since Core ML runs on Apple's systems alone",
    )


@points(
    1,
    hints=[
        "The board runs int8.onnx. Which of the packages does that need?",
        "The same Dockerfile should build for any platform: --platform belongs to the build, not into FROM.",
        "A slim base with a tag, numpy and a runtime with their versions, COPY of single files, a USER.",
    ],
)
def test_image(submitted):
    """the Dockerfile describes a small image that builds for ARM"""
    dockerfile = read_dockerfile(submitted)
    flaws = flaws_of(dockerfile)
    kept = RULES - len(flaws)
    credit(kept, RULES, f"{kept} of {RULES} rules kept", cause=" ".join(flaws))


# ---- what the checks use ----------------------------------------------------------------------------------

TRAINING = ("torch", "tensorflow", "litert-torch", "onnxscript", "coremltools", "jax", "safetensors")
RUNTIMES = ("onnxruntime", "ai-edge-litert", "tflite-runtime")
RULES = 5


def agreeing(given, wanted):
    """How many rows of scores are as they should be."""
    if given.shape != wanted.shape:
        raise WorkFault(
            f"It answers an array of shape {given.shape} to {len(wanted)} images.",
            why=f"{wanted.shape} was expected: ten scores for each image.",
        )
    return int((np.abs(given - wanted).max(axis=1) < TOLERANCE).sum())


def farthest(given, wanted):
    off = np.abs(given - wanted).max()
    return f"Scores are off by up to {off:.3g}."


def flaws_of(dockerfile):
    """Which of the five rules the last stage breaks, one sentence each."""
    start = dockerfile.stages[-1].line if dockerfile.stages else 1
    last = [each for each in dockerfile.instructions if each.line >= start]
    base = final_base(dockerfile)
    froms = [each.value for each in dockerfile.instructions if each.name == "FROM"]
    runs = " ".join(each.value for each in last if each.name == "RUN")
    packages = [word.lower() for word in runs.replace('"', " ").replace("'", " ").split()]
    names = [word.partition("==")[0].partition("[")[0] for word in packages]
    flaws = []
    if base.tag in ("", "latest") or ("slim" not in base.tag and "alpine" not in base.tag):
        flaws.append(f"The base {base.tagged} is not a slim one with a tag.")
    if any("--platform" in each and "$" not in each for each in froms):
        flaws.append("FROM names a platform, so that it builds for no other.")
    heavy = sorted(set(TRAINING) & set(names))
    pinned = any(name in RUNTIMES and "==" in word for name, word in zip(names, packages, strict=True))
    if heavy or not pinned:
        flaws.append(f"It installs {', '.join(heavy)}." if heavy else "No runtime is installed in a version.")
    copied = " ".join(each.value for each in last if each.name in ("COPY", "ADD")).split()
    if "int8.onnx" not in copied or "." in copied[:-1]:
        flaws.append("It should copy int8.onnx and what runs it, not the whole folder.")
    users = [each.value.strip() for each in last if each.name == "USER"]
    if not users or users[-1] in ("root", "0"):
        flaws.append("It runs as root.")
    return flaws
