"""What this machine has, what the workbook's parts run on here, and what brings each that is missing.

Everything is found by reading; no program is started, no model loaded, nothing fetched.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import sys
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from labkit import debian
from labkit.course import find_course
from labkit.engines import choice
from labkit.engines import machine as under
from labkit.environments import Environment
from labkit.environments.environment import running_in
from labkit.environments.indexes import has_nvidia_driver
from labkit.errors import Unavailable
from labkit.isolation.isolation import isolation_here
from labkit.models.store import is_made, models_folder
from labkit.verdicts import Tier

GIB = 2**30


@dataclass(frozen=True)
class Hardware:
    """The machine itself.

    Attributes:
        system: The operating system, "Debian 12".
        cores: Processor cores that this process may use.
        memory_gib: Memory that it may use.
        gpu: The NVIDIA GPU's name; empty if there is none.
    """

    system: str
    cores: int
    memory_gib: float
    gpu: str

    def __str__(self) -> str:
        """One line."""
        cores = f"{self.cores} core{'s' if self.cores != 1 else ''}"
        return f"{self.system} · {cores} · {self.memory_gib:.0f} GiB · {self.gpu or 'no GPU'}"


@dataclass(frozen=True)
class Part:
    """One thing that the workbook runs on.

    Attributes:
        what: Its name.
        needed_by: The weeks or commands that use it.
        runs_on: What it is on this machine.
        tier: How real a result on it is; None if nothing can be measured on it here.
        missing: Why it can't be used, if it can't.
        command: The command that brings it, if it is missing.
        fix: The same as what `workbook doctor --fix` may run by itself; empty if a person has to.
    """

    what: str
    needed_by: str
    runs_on: str
    tier: Tier | None = Tier.LOCAL
    missing: str = ""
    command: str = ""
    fix: tuple[str, ...] = ()


@dataclass(frozen=True)
class Diagnosis:
    """What was found.

    Attributes:
        root: The course's folder.
        hardware: The machine.
        parts: What the workbook runs on, in the order of the table.
    """

    root: str
    hardware: Hardware
    parts: list[Part] = field(default_factory=list)

    @property
    def missing(self) -> list[Part]:
        """The parts that something brings; what this machine can never have is not among them."""
        return [part for part in self.parts if part.missing]

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "complete": not self.missing}


def examine(root: Path | None = None, machine: debian.Machine | None = None) -> Diagnosis:
    """Looks at this machine.

    Args:
        root: The course's folder, if not the one around the current folder.
        machine: The machine, if not this one.
    """
    root = root or find_course().root
    machine = machine or debian.Machine()
    hardware = _hardware(machine)
    return Diagnosis(
        root=str(root),
        hardware=hardware,
        parts=[
            _python(Environment("core", root.resolve())),
            _model(root),
            _packages("model server", "week 11", {"fastapi": "FastAPI", "uvicorn": "Uvicorn"}),
            _packages("grading", "release, grade", {"nbgrader": "nbgrader"}),
            _sandbox(machine),
            _browser(machine),
            _engine(machine),
            _registry(machine),
            _cloud(root),
            Part("GPU", "measurements on a GPU", hardware.gpu or "none", Tier.REAL if hardware.gpu else None),
        ],
    )


def _made_by_make(what: str, needed_by: str, missing: str, target: str) -> Part:
    return Part(what, needed_by, "-", None, missing, f"make {target}", ("make", target))


def _python(environment: Environment) -> Part:
    words, needed_by = f"Python {platform.python_version()}", "everything"
    if running_in(environment):
        flaw = environment.flaw()
        if flaw is not None:
            return _made_by_make("Python", needed_by, f".venv: {flaw.reason}", "setup")
        return Part("Python", needed_by, f"{words} in .venv")
    # Another environment, conda's for one: what counts is whether it holds what is pinned.
    pins = _pins(environment.requirements)
    differing = [name for name, pinned in pins.items() if (_version(name) or "").split("+")[0] != pinned]
    if differing:
        few = ", ".join(differing[:3]) + (" ..." if len(differing) > 3 else "")
        reason = f"{len(differing)} of {len(pins)} packages differ from environments/core.txt: {few}"
        return _made_by_make("Python", needed_by, reason, "setup")
    return Part("Python", needed_by, f"{words} in {sys.prefix}")


def _pins(requirements: Path) -> dict[str, str]:
    """The pinned versions; without those that belong to other platforms."""
    found = re.findall(r"^([\w.-]+)==([^\s;\\+]+)(.*)$", requirements.read_text(), flags=re.MULTILINE)
    return {name: pinned for name, pinned, rest in found if ";" not in rest}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _model(root: Path) -> Part:
    folder = models_folder(root) / "digits"
    try:
        made = is_made(folder)
    except PackageNotFoundError:  # without torch nothing was made here, and Python's row says the rest
        made = False
    if not made:
        return _made_by_make("model", "week 11", "the digit classifier is not trained yet", "model")
    accuracy = json.loads((folder / "about.json").read_text())["accuracy"]
    place = folder.relative_to(root)
    return Part("model", "week 11", f"{place}, accuracy {accuracy:.3f}")


def _packages(what: str, needed_by: str, names: dict[str, str]) -> Part:
    versions = {name: _version(name) for name in names}
    lacking = [names[name] for name, found in versions.items() if found is None]
    if lacking:
        return _made_by_make(what, needed_by, f"{', '.join(lacking)} not installed", "setup")
    return Part(what, needed_by, ", ".join(f"{names[name]} {found}" for name, found in versions.items()))


def _sandbox(machine: debian.Machine) -> Part:
    needed_by = "grade"
    try:
        return Part("sandbox", needed_by, str(isolation_here()).removeprefix("sandbox: "))
    except Unavailable as error:
        reason = f"{error.what} {error.why}".strip().rstrip(".")
    if debian.missing("sandbox", machine) and machine.is_debian:
        if machine.superuser or machine.terminal:
            return _made_by_make("sandbox", needed_by, reason, "sandbox")
        return Part(
            "sandbox",
            needed_by,
            "-",
            None,
            reason,
            debian.command_for(debian.missing("sandbox", machine), machine),
        )
    return Part(
        "sandbox", needed_by, "-", None, reason, "workbook grade --unisolated, if you trust all submissions"
    )


def _browser(machine: debian.Machine) -> Part:
    needed_by = "the project's tests"
    lacking = debian.missing("browser", machine)
    if not lacking:
        return Part("browser", needed_by, "Chromium")
    programs = debian.GROUPS["browser"].programs
    reason = f"{', '.join(lacking)} not installed; the tests that need it are skipped"
    if not machine.is_debian:
        reason = f"{' or '.join(programs)} not on PATH; the tests that need it are skipped"
        return Part("browser", needed_by, "-", None, reason, f"put {' and '.join(programs)} on PATH")
    if machine.superuser or machine.terminal:
        return _made_by_make("browser", needed_by, reason, "browser")
    return Part("browser", needed_by, "-", None, reason, debian.command_for(lacking, machine))


def _engine(machine: debian.Machine) -> Part:
    what, needed_by = "engine", "week 9"
    if machine.root == Path("/") and choice.chosen() != "embedded":
        address = os.environ.get("DOCKER_HOST") or "Docker's own socket"
        return Part(what, needed_by, f"the engine at {address}")
    if (why := under.lacks()) and machine.root == Path("/"):
        return Part(what, needed_by, "-", None, why[0].rstrip("."), why[1])
    lacking = debian.missing("engine", machine)
    if not lacking:
        return Part(what, needed_by, "embedded Docker Engine, starts by itself")
    return _from_debian(what, needed_by, "engine", lacking, machine)


def _registry(machine: debian.Machine) -> Part:
    lacking = debian.missing("registry", machine)
    if not lacking:
        return Part("registry", "week 9", "docker-registry on 127.0.0.1, starts by itself")
    return _from_debian("registry", "week 9", "registry", lacking, machine)


def _cloud(root: Path) -> Part:
    what, needed_by = "cloud", "week 12"
    found = [name for name in ("terraform", "tofu") if shutil.which(name)]
    library = sys.platform == "linux" and platform.machine() == "x86_64"
    if not found and not library:
        return Part(what, needed_by, "-", None, "no terraform here", "put terraform or tofu on PATH")
    terraform = found[0] if found else "Terraform as a library"
    if Environment("cloud", root.resolve()).flaw() is not None:
        command = "python -m labkit.environments cloud"
        fix = (sys.executable, "-m", "labkit.environments", "cloud")
        return Part(what, needed_by, "-", None, "the environment cloud is not made yet", command, fix)
    return Part(what, needed_by, f"AWS emulator, {terraform}", Tier.SIMULATED)


def _from_debian(what: str, needed_by: str, group: str, lacking: list[str], machine: debian.Machine) -> Part:
    """A part whose packages are missing: as root the workbook installs them when they are first needed."""
    reason = f"{', '.join(lacking)} not installed"
    if not machine.is_debian:
        return Part(what, needed_by, "-", None, reason, "set DOCKER_HOST to an engine of yours")
    if machine.superuser or machine.terminal:
        fix = (sys.executable, "-m", "labkit.debian", group)
        return Part(what, needed_by, "-", None, reason, f"python -m labkit.debian {group}", fix)
    return Part(what, needed_by, "-", None, reason, debian.command_for(lacking, machine))


def _hardware(machine: debian.Machine) -> Hardware:
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    memory = psutil.virtual_memory().total
    group = machine.root / "sys/fs/cgroup"
    limit = _first_number(group / "memory.max")
    quota = re.fullmatch(r"(\d+) (\d+)\s*", _read(group / "cpu.max"))
    if quota:
        cores = max(1, min(cores, -(-int(quota[1]) // int(quota[2]))))
    return Hardware(
        system=machine.name,
        cores=cores,
        memory_gib=round(min(memory, limit or memory) / GIB, 1),
        gpu=_gpu(machine.root),
    )


def _gpu(root: Path) -> str:
    names = [
        match[1]
        for information in sorted(root.glob("proc/driver/nvidia/gpus/*/information"))
        if (match := re.search(r"^Model:\s*(.+?)\s*$", _read(information), flags=re.MULTILINE))
    ]
    if names:
        return names[0] if len(names) == 1 else f"{len(names)} x {names[0]}"
    return "NVIDIA GPU" if root == Path("/") and has_nvidia_driver() else ""


def _first_number(path: Path) -> int | None:
    text = _read(path).strip()
    return int(text) if text.isdigit() else None


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
