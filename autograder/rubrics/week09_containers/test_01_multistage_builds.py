"""Lab week09/multistage_builds: an image that holds what it needs, and a build that repeats what it must."""

import re
import shutil

import httpx
import numpy as np
import pytest

from autograder.images import read_dockerfile, stand_ins
from autograder.rubric import after, credit, hidden, needs, points, progress, reading, require
from labkit.errors import WorkFault
from labkit.verdicts import Judgement, Verdict

what_the_layers_hold = reading(
    "what_the_layers_hold",
    points=5,
    criteria=[
        (2, "names the largest layers of the one-stage image and what of them the running server never uses"),
        (2, "after a source edit the one-stage build installs again, as COPY . . comes before and changed"),
        (1, "the two-stage build keeps its dependency layer, because only requirements.txt decides about it"),
    ],
)

PORT = 8080
TOLERANCE = 1e-3
SHARE = 0.60
EDIT_BYTES = 10_000_000
CACHE_BYTES = 10_000
COMPILERS = re.compile(r"(^|/)((\S*-)?(gcc|g\+\+|cc1|cc1plus|clang|tcc)(-\d+)?|cc|c\+\+)$")
PLANTED = {".git/planted": b"[core]\n", ".env": b"TOKEN=planted\n", "__pycache__/planted.pyc": b"planted"}


@pytest.fixture(scope="session")
def planted(context):
    """The learner's files, with what lies about in a real project's folder."""
    for name, content in PLANTED.items():
        path = context / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    return context


@pytest.fixture(scope="session")
def build(builder, planted):
    read_dockerfile(planted)
    return builder(planted)


@pytest.fixture(scope="session")
def files(engine, build):
    return engine.files(build.image.id)


@pytest.fixture(scope="session")
def container(engine, build):
    with engine.run(build.image.id, ports=[PORT]) as running:
        running.wait_for_port(PORT, seconds=15)
        yield running


@points(
    2,
    hints=[
        "What does python:3.11-slim name next month?",
        "A tag can be moved; a digest is the hash of what it names. Write both: name:tag@sha256:...",
        "The notebook shows the digest of each base that this engine holds.",
    ],
)
def test_pinned(submitted):
    """pins every base by tag and digest"""
    found = read_dockerfile(submitted).bases
    if not found:
        raise WorkFault("The Dockerfile names no base image.", next_step="Begin each stage with FROM.")
    wrong = [f"line {base.line}: {flaw}" for base in found if (flaw := flaw_of(base))]
    right = len(found) - len(wrong)
    credit(right, len(found), f"{right} of {len(found)} bases have tag and digest", cause="; ".join(wrong))


@needs("engine", "python_images")
@points(
    4,
    hints=[
        "Does the first stage build? workbook check says at which step it stopped.",
        "The packages must lie where the second stage's python looks for them.",
        "A virtual environment in /opt/venv can be carried over whole; put its bin first on PATH.",
    ],
)
def test_answers(container, digits, build):
    """builds, starts, and answers the reference predictions"""
    known = np.flatnonzero(digits.images.max(axis=1) == 255)[:100]
    same = agreeing(container, digits, known)
    credit(same, len(known), f"{same} of {len(known)} within {TOLERANCE}{stand_ins(build.image)}")


@hidden
@needs("engine", "python_images")
@after("test_answers")
@points(1)
def test_unseen_images(container, digits):
    """gives the right answers for images that it was never shown"""
    dim = np.flatnonzero(digits.images.max(axis=1) < 255)[:20]
    same = agreeing(container, digits, dim)
    credit(same, len(dim), f"{same} of {len(dim)} within {TOLERANCE}")


@needs("engine", "python_images")
@after("test_answers")
@points(
    3,
    hints=[
        "Look into your image: docker run --rm IMAGE ls /usr/bin.",
        "A compiler comes with the base python:3.11; the final stage can begin with another base.",
        "Copy the installed packages alone from the first stage, not its root.",
    ],
)
def test_lean(files):
    """holds no compiler and no pip cache"""
    compilers = sorted(name for name in files if COMPILERS.search(name) and "/share/" not in name)
    cached = sum(size for name, size in files.items() if re.search(r"(^|/)\.cache/(pip|uv)/", name))
    if compilers:
        require(False, f"a compiler is in the image: /{compilers[0]}", cause="Nothing is compiled there.")
    require(
        cached < CACHE_BYTES,
        f"no compiler, {cached / 1e3:.0f} kB of pip's cache",
        cause="Only pip would read that again.",
    )


@needs("engine", "python_images")
@after("test_answers")
@points(
    3,
    hints=[
        "Which layers are the largest? The notebook's plot shows them.",
        "The base of the last stage is most of it: there is a smaller one of the same Python.",
    ],
)
def test_size(builder, build, lay, handout, scratch):
    """is at most 60 % of the one-stage image"""
    progress("building the one-stage image to compare with")
    single = builder(lay(handout, scratch / "single"), "Dockerfile.single").image
    share = build.image.bytes / single.bytes
    evidence = (
        f"{build.image.bytes / 1e6:.0f} MB, {share:.0%} of the one-stage {single.bytes / 1e6:.0f} MB"
        f"{stand_ins(build.image, single)}"
    )
    measured = {"bytes": build.image.bytes, "one_stage_bytes": single.bytes, "share": round(share, 4)}
    verdict = Verdict.PASSED if share <= SHARE else Verdict.FAILED
    require(Judgement(verdict, evidence, measured=measured), cause="The largest layer is the one to look at.")


@needs("engine", "python_images")
@after("test_answers")
@points(
    4,
    hints=[
        "Change a line of serve.py, build again, and see which steps are not CACHED.",
        "A step is run again when anything that it copied, or any step before it, has changed.",
        "Copy requirements.txt, install, and copy the source after that.",
    ],
)
def test_source_edit(builder, build, planted, scratch):
    """a source edit keeps the layers of the dependencies"""
    edited = shutil.copytree(planted, scratch / "edited")
    with (edited / "serve.py").open("a") as source:
        source.write("\n# one line more\n")
    progress("building again after an edit of serve.py")
    again = builder(edited)
    before = {layer.digest for layer in build.image.layers}
    fresh = [layer for layer in again.image.layers if layer.digest not in before]
    size = sum(layer.bytes for layer in fresh)
    evidence = f"{size / 1e6:.1f} MB of layers are new after an edit, built again in {again.seconds:.1f} s"
    if not fresh:
        require(False, "the edit of serve.py changed no layer", cause="The image does not hold serve.py.")
    largest = max(fresh, key=lambda layer: layer.bytes)
    require(
        Judgement(
            Verdict.PASSED if size <= EDIT_BYTES else Verdict.FAILED,
            evidence,
            measured={"new_bytes": size, "seconds": again.seconds},
        ),
        cause=f"The largest new layer is that of `{largest.made_by[:80]}`.",
    )


@needs("engine", "python_images")
@after("test_answers")
@points(
    3,
    hints=[
        "Is your repository's history in the image? Are your passwords?",
        ".dockerignore has one pattern a line, much as .gitignore; or copy the files that you need by name.",
    ],
)
def test_context(files):
    """takes along nothing of what lies about"""
    found = [name for name in PLANTED if any(f"/{path}".endswith(f"/{name}") for path in files)]
    left_out = len(PLANTED) - len(found)
    names = ", ".join(found)
    credit(left_out, len(PLANTED), f"{left_out} of {len(PLANTED)} kept out", cause=f"In the image: {names}.")


# ---- what the checks use ----------------------------------------------------------------------------------


def flaw_of(base):
    """What is wrong with how a base is pinned; empty if nothing is."""
    if not base.tag or base.tag == "latest":
        return f"{base.name} has no tag that says a version"
    if not base.digest:
        return f"{base.tagged} has no digest"
    digits = base.digest.removeprefix("sha256:")
    if len(digits) != 64:
        return f"a digest has 64 hexadecimal digits, this one {len(digits)}"
    if len(set(digits)) < 10:
        return "that digest is made up"
    return ""


def agreeing(container, digits, rows):
    """How many of these images get the scores that they should."""
    try:
        answer = httpx.post(
            f"{container.url(PORT)}/predict",
            json={"features": digits.images[rows].tolist()},
            timeout=15,
            trust_env=False,
        )
    except httpx.HTTPError as error:
        raise WorkFault(
            f"POST /predict on port {PORT} got no proper answer ({type(error).__name__}).",
            why=" ".join(container.logs(3).split())[-200:],
        ) from error
    if answer.status_code != 200:
        raise WorkFault(f"POST /predict answered {answer.status_code} to {len(rows)} good images.")
    try:
        given = np.array(answer.json()["prediction"], dtype=np.float64)
    except (KeyError, TypeError, ValueError) as error:
        raise WorkFault('POST /predict answered without {"prediction": [[ten scores], ...]}.') from error
    if given.shape != (len(rows), 10):
        raise WorkFault(f"POST /predict answered scores of shape {given.shape} to {len(rows)} images.")
    return int((np.abs(given - digits.scores[rows]) <= TOLERANCE).all(axis=1).sum())
