"""Which torch a requirements file asks for, and whether it is the build for a CUDA version."""

from __future__ import annotations

import pytest

from labkit.cuda import TorchRequirement, compatibility, cpu_requirements
from labkit.errors import WorkFault

INDEX = "--index-url https://download.pytorch.org/whl/cu118\n"
KNOWN = compatibility()


@pytest.mark.parametrize(
    "text",
    [
        f"{INDEX}torch==2.7.1+cu118\n",
        f"{INDEX}torch==2.7.1  # the last one\n",
        "torch == 2.6.0\n--extra-index-url=https://download.pytorch.org/whl/cu118/\n",
        f"{INDEX}numpy==2.3.5\nTorch===2.5.1 ; python_version >= '3.9'\n",
        f"{INDEX}torch==2.7.1+cu118 \\\n    --hash=sha256:00\n",
    ],
)
def test_the_build_for_cuda_11_8_is_known(text):
    assert TorchRequirement.read(text).flaw("cu118", KNOWN) == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("torch==2.7.1\n", "PyPI alone"),
        (f"{INDEX}torch\n", "not pinned"),
        (f"{INDEX}torch>=2.7\n", "not pinned"),
        (f"{INDEX}torch==2.7.*\n", "not pinned"),
        (f"{INDEX}torch==2.7.1+cpu\n", "built for cpu"),
        (f"{INDEX}torch==2.8.0+cu118\n", "the last that was is 2.7.1"),
        (INDEX.replace("cu118", "cu126") + "torch==2.7.1\n", "the index of cu126"),
        ("# --index-url https://download.pytorch.org/whl/cu118\ntorch==2.7.1\n", "PyPI alone"),
        (INDEX.replace("pytorch.org", "pytorch.org.example.com") + "torch==2.7.1\n", "PyPI alone"),
    ],
)
def test_another_one_is_said_to_be_so(text, words):
    assert words in TorchRequirement.read(text).flaw("cu118", KNOWN)


@pytest.mark.parametrize("text", ["numpy\n", f"{INDEX}torch==2.7.1\ntorch==2.6.0\n", "torchvision==0.22.1\n"])
def test_no_torch_or_two_are_the_learners_fault(text):
    with pytest.raises(WorkFault, match=r"no torch|more than one"):
        TorchRequirement.read(text)


def test_the_tables_say_until_when_and_which_driver():
    assert KNOWN.releases("cu118")[0] == "2.7.1"
    assert KNOWN.minimum_driver("11.8") == 450
    assert KNOWN.minimum_driver("12.4") == 525
    with pytest.raises(KeyError):
        KNOWN.minimum_driver("10.2")


def test_the_requirements_for_the_cpu_name_its_build():
    assert "torch==2.13.0+cpu" in cpu_requirements().splitlines()
