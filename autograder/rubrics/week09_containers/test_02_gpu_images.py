"""Lab week09/gpu_images: one image that runs on a GPU where there is one, and elsewhere as well."""

import json
import re
import shutil

import httpx
import numpy as np
import pytest

from autograder.fixtures import copy_work
from autograder.images import final_base, read_dockerfile, stand_ins
from autograder.rubric import after, credit, needs, not_measured, points, progress, reading, require
from autograder.served import Served
from labkit.cuda import TorchRequirement, compatibility, cpu_requirements
from labkit.engines import BuildFault, connect
from labkit.errors import Unavailable, WorkFault
from labkit.models import models_folder
from labkit.verdicts import Judgement, Tier, Verdict

which_base = reading(
    "which_base",
    points=5,
    criteria=[
        (2, "says what base, runtime and devel add, and which of it a served torch model uses"),
        (2, "torch's wheel brings its CUDA libraries along, so that the runtime image would hold them twice"),
        (1, "the driver is the machine's: it is not in any of the three, and must not be"),
    ],
)

PORT = 8080
TOLERANCE = 1e-3
CUDA = "11.8"
VARIANT = "cu118"
NO_DRIVER = 35
UNPACK_SECONDS = 100
"""The first build unpacks torch, which takes long where much else runs; later ones have its layer."""
LOADS = (
    "import ctypes, os\n"
    "cudart, count = ctypes.CDLL('libcudart.so.11.0'), ctypes.c_int()\n"
    "mapped = next(line.split()[-1] for line in open('/proc/self/maps') if 'libcudart' in line)\n"
    "print(os.path.basename(mapped), cudart.cudaGetDeviceCount(ctypes.byref(count)))\n"
)
"""The library's version is in its file's name: without a driver its own functions don't say it."""
DRIVER = ["libcuda.so*", "libnvidia-ml.so*", "libnvidia-ptxjitcompiler.so*", "nvidia-smi", "nvidia.ko*"]


@pytest.fixture(scope="session")
def context(submitted, scratch):
    """A copy of the learner's files with the model as it was handed out, and the CPU's torch."""
    target = copy_work(submitted, scratch / "context")
    for name in ("model.py", "model.safetensors"):
        shutil.copyfile(models_folder() / "digits" / name, target / name)
    (target / "requirements.cpu.txt").write_text(cpu_requirements())
    return target


@pytest.fixture(scope="session")
def build(builder, context):
    """The image for the CPU: the same Dockerfile, another torch."""
    if not read_dockerfile(context).bases:
        raise WorkFault("The Dockerfile names no base image.", next_step="Begin it with FROM.")
    progress("building the image with a CPU build of torch", 60)
    try:
        return builder(context, arguments={"VARIANT": "cpu"}, seconds=UNPACK_SECONDS)
    except BuildFault as fault:
        if "was not built within" in fault.what and "pip" in fault.what:
            raise Unavailable(
                f"This machine did not unpack torch within {UNPACK_SECONDS} s.",
                next_step="Build the image once by the notebook's cell: its layers stay.",
            ) from fault
        raise


@pytest.fixture(scope="session")
def container(engine, build):
    with engine.run(build.image.id, ports=[PORT], memory_mib=2048) as running:
        running.wait_for_port(PORT, seconds=40)
        yield running


@pytest.fixture(scope="session")
def idle(engine, build):
    """A container of the image in which nothing runs: what is asked of its files needs no server."""
    with engine.run(build.image.id, entrypoint=["sleep", "120"]) as running:
        yield running


@points(
    3,
    hints=[
        "What of CUDA does a running server use, and what only a compiler?",
        "nvidia/cuda:11.8.0-base-ubuntu22.04, -runtime- or -devel-: the last brings compilers along.",
    ],
)
def test_base(submitted):
    """ends on a CUDA 11.8 base that is meant to run, not to compile"""
    base = final_base(read_dockerfile(submitted))
    evidence = f"the last stage stands on {base.tagged}"
    if base.name != "nvidia/cuda":
        require(False, evidence, cause="That is none of NVIDIA's CUDA images.")
    if not base.tag.startswith(f"{CUDA}."):
        require(False, evidence, cause=f"The course's CUDA is {CUDA}.")
    devel = "devel" in base.tag.split("-")
    require(
        not devel, evidence, cause="devel is for stages that compile: nothing of it is used when serving."
    )


@points(
    4,
    hints=[
        "The tables in the notebook say which torch was built for which CUDA, and until when.",
        "A plain torch==... comes from PyPI, where each version has one build only.",
        "--index-url https://download.pytorch.org/whl/cu118, and a version that was built for it.",
    ],
)
def test_torch_build(submitted):
    """names a torch that was built for CUDA 11.8"""
    path = submitted / f"requirements.{VARIANT}.txt"
    if not path.is_file():
        raise WorkFault(f"There is no {path.name}.", next_step="It names the torch for the GPU.")
    asked = TorchRequirement.read(path.read_text(errors="replace"))
    known = compatibility()
    flaw = asked.flaw(VARIANT, known)
    said = f"torch {asked.version}, by the table of {known.date}"
    require(not flaw, said if not flaw else "not the build for CUDA 11.8", cause=f"{flaw}.")


@needs("engine", "cuda_images")
@points(
    4,
    hints=[
        "torch.cuda.is_available() is False where there is no GPU, and nothing raises.",
        "DEVICE = torch.device(... if ... else ...)",
        "Does the image build with --build-arg VARIANT=cpu? ARG must stand after FROM to be seen there.",
    ],
)
def test_serves(container, digits, build):
    """serves the reference predictions on a machine without a GPU"""
    require(agreeing(container.url(PORT), digits, build.image))
    said = ask(container, "GET", "/device").json()
    require(
        isinstance(said, dict) and said.get("device") == "cpu",
        f"on the {said.get('device')}, with a CPU build of torch, {said.get('torch')}",
        cause="GET /device does not say cpu.",
    )


@needs("engine", "cuda_images")
@points(
    3,
    hints=[
        "Is the last stage one of NVIDIA's images?",
        "ldconfig -p in a container of the image lists the libraries that can be loaded.",
    ],
)
def test_cudart(idle, build):
    """loads the CUDA 11.8 runtime library"""
    ran = idle.exec(["python3", "-c", LOADS], seconds=20)
    words = ran.text.split()
    if ran.exit_code != 0 or len(words) != 2:
        last = ran.text.strip().splitlines()[-1:] or ["nothing was printed"]
        require(False, "libcudart.so.11.0 can't be loaded in the image", cause=last[0][:160])
    file, answer = words
    without = " (and finds no driver, as is right here)" if answer == str(NO_DRIVER) else ""
    require(
        file.startswith(f"libcudart.so.{CUDA}."),
        f"it loads {file}{without}{stand_ins(build.image)}",
        cause=f"That is not CUDA {CUDA}.",
    )


@needs("engine", "cuda_images")
@points(
    3,
    hints=[
        "Whose is the driver: the image's, or the machine's?",
        "docker run --gpus all brings the machine's driver in. One in the image is used instead of it.",
    ],
)
def test_driver(idle):
    """leaves the driver to the machine"""
    names = " -o ".join(f"-name '{name}'" for name in DRIVER)
    ran = idle.exec(["sh", "-c", f"find / -xdev \\( {names} \\) 2>/dev/null; true"], seconds=30)
    # NVIDIA's own images hold a compatibility library and stubs to link with: neither is a driver.
    found = [line for line in ran.text.split() if not re.search(r"/(compat|stubs)/|^/proc/", line)]
    require(
        not found,
        "no driver is in the image" if not found else f"{found[0]} is in the image",
        cause="It fits one machine's kernel module alone.",
    )


@needs("engine", "cuda_images")
@points(
    2,
    hints=[
        "The NVIDIA runtime reads NVIDIA_VISIBLE_DEVICES and NVIDIA_DRIVER_CAPABILITIES of the image.",
        "Which GPU it gets is for whoever starts it to say, or for Kubernetes.",
    ],
)
def test_variables(build):
    """asks for compute and utility, and for no GPU in particular"""
    variables = dict(entry.split("=", 1) for entry in build.image.config.get("Env") or [])
    capabilities = set(variables.get("NVIDIA_DRIVER_CAPABILITIES", "").split(","))
    flaws = []
    if variables.get("NVIDIA_VISIBLE_DEVICES") != "all":
        flaws.append(f"NVIDIA_VISIBLE_DEVICES is {variables.get('NVIDIA_VISIBLE_DEVICES', 'not set')}")
    if not ({"compute", "utility"} <= capabilities or "all" in capabilities):
        flaws.append(f"NVIDIA_DRIVER_CAPABILITIES is {','.join(sorted(capabilities)) or 'not set'}")
    if "CUDA_VISIBLE_DEVICES" in variables:
        flaws.append(f"CUDA_VISIBLE_DEVICES is {variables['CUDA_VISIBLE_DEVICES'] or 'empty'}")
    credit(3 - len(flaws), 3, f"{3 - len(flaws)} of 3 variables as they should be", cause="; ".join(flaws))


@needs("gpu")
@after("test_torch_build")
@points(1, hints=["On a machine with a GPU: GET /device says cuda."])
def test_device(context, digits, logs, scratch):
    """uses the GPU where there is one"""
    try:
        engine = connect()
        image = engine.build(context, arguments={"VARIANT": VARIANT}, seconds=540).image
        with engine.run(image.id, ports=[PORT], gpus=True, memory_mib=None) as running:
            running.wait_for_port(PORT, seconds=60)
            said = ask(running, "GET", "/device").json()
            require(agreeing(running.url(PORT), digits, image))
        where, tier = f"in a container, torch {said.get('torch')}", Tier.REAL
    except Unavailable as lacking:
        said = outside(context, logs)
        where = f"outside of a container ({lacking.what}), torch {said.get('torch')}"
        tier = Tier.LOCAL
    verdict = Verdict.PASSED if said.get("device") == "cuda" else Verdict.FAILED
    require(Judgement(verdict, f"on {said.get('device')}, {where}", tier), cause="There is a GPU here.")


# ---- what the checks use ----------------------------------------------------------------------------------


def outside(context, logs):
    """What the same server says of its device, started by this machine's own Python."""
    import torch

    if not torch.cuda.is_available():
        not_measured(
            f"No engine reaches the GPU, and this Python's torch {torch.__version__} does not either."
        )
    with Served(context, log=logs / "gpu_images.log") as served:
        served.start()
        return json.loads(served.get("/device").body)


def ask(container, method, path, **how):
    """An answer of the container's server, which must be 200."""
    try:
        answer = httpx.request(method, f"{container.url(PORT)}{path}", timeout=20, trust_env=False, **how)
    except httpx.HTTPError as error:
        raise WorkFault(
            f"{method} {path} on port {PORT} got no proper answer ({type(error).__name__}).",
            why=" ".join(container.logs(3).split())[-200:],
        ) from error
    if answer.status_code != 200:
        raise WorkFault(f"{method} {path} answered {answer.status_code}.")
    return answer


def agreeing(url, digits, image):
    """Whether a hundred images get the scores that they should."""
    rows = np.arange(100)
    answer = httpx.post(
        f"{url}/predict", json={"features": digits.images[rows].tolist()}, timeout=20, trust_env=False
    )
    if answer.status_code != 200:
        raise WorkFault(f"POST /predict answered {answer.status_code} to {len(rows)} good images.")
    try:
        given = np.array(answer.json()["prediction"], dtype=np.float64)
    except (KeyError, TypeError, ValueError) as error:
        raise WorkFault('POST /predict answered without {"prediction": [[ten scores], ...]}.') from error
    if given.shape != (len(rows), 10):
        raise WorkFault(f"POST /predict answered scores of shape {given.shape} to {len(rows)} images.")
    same = int((np.abs(given - digits.scores[rows]) <= TOLERANCE).all(axis=1).sum())
    verdict = Verdict.PASSED if same == len(rows) else Verdict.FAILED
    return Judgement(verdict, f"{same} of {len(rows)} within {TOLERANCE}{stand_ins(image)}")
