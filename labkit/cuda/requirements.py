"""Reads which torch a requirements file asks for, and writes the one for machines without a GPU."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from labkit.cuda.compatibility import Compatibility
from labkit.environments import indexes
from labkit.errors import WorkFault

CPU_TORCH = "2.13.0"
_INDEX = re.compile(r"--(?:extra-)?index-url[ =](\S+)")
_WHEELS = re.compile(r"https://download\.pytorch\.org/whl/(cpu|cu\d+)/?")


@dataclass(frozen=True)
class TorchRequirement:
    """The torch that a requirements file asks for.

    Attributes:
        version: `2.7.1`; empty if it is not pinned.
        local: What the version says of the build, `cu118`; empty if nothing.
        indexes: The builds whose index of PyTorch's is asked, `("cu118",)`; without one it is PyPI's build.
    """

    version: str
    local: str
    indexes: tuple[str, ...]

    @classmethod
    def read(cls, text: str) -> TorchRequirement:
        """From a requirements file.

        Raises:
            WorkFault: It asks for no torch, or for more than one.
        """
        found: list[Requirement] = []
        lines = [line.partition("#")[0].strip() for line in text.replace("\\\n", " ").splitlines()]
        for line in lines:
            try:
                requirement = Requirement(re.sub(r"\s+--\S+.*$", "", line))
            except InvalidRequirement:
                continue  # an option, or nothing
            if requirement.name.lower() == "torch":
                found.append(requirement)
        if len(found) != 1:
            raise WorkFault(
                f"The requirements ask for {'no' if not found else 'more than one'} torch.",
                next_step="Name it once, with its version.",
            )
        pins = [spec.version for spec in found[0].specifier if spec.operator in ("==", "===")]
        version, _, local = (pins[0] if pins and "*" not in pins[0] else "").partition("+")
        urls = [url for line in lines for url in _INDEX.findall(line)]
        builds = tuple(match[1] for url in urls if (match := _WHEELS.fullmatch(url)))
        return cls(version, local, builds)

    def flaw(self, variant: str, known: Compatibility) -> str:
        """Why it is not the build for that variant, in a sentence; empty if it is.

        Args:
            variant: `cu118`.
            known: The tables.
        """
        if not self.version:
            return "torch is not pinned to one version"
        if self.local and self.local != variant:
            return f"torch {self.version}+{self.local} is built for {self.local}, not for {variant}"
        if variant not in self.indexes:
            named = f"the index of {self.indexes[0]}" if self.indexes else "PyPI alone"
            return f"torch {self.version} is asked of {named}, which has no build for {variant}"
        if self.version not in known.releases(variant):
            newest = known.releases(variant)[0]
            return f"torch {self.version} was not built for {variant}; the last that was is {newest}"
        return ""


def cpu_requirements() -> str:
    """A requirements file for torch's CPU build, from wherever this machine has it.

    A wheel in a folder that pip looks into here goes first, then PyTorch's index of CPU builds.
    """
    line = f"torch=={CPU_TORCH}+cpu\n"
    folders = indexes.from_pip(Path(sys.executable)).wheel_folders()
    if any([*folder.glob(f"torch-{CPU_TORCH}+cpu-*.whl")] for folder in folders):
        return line
    return f"--extra-index-url https://download.pytorch.org/whl/cpu\n{line}"
