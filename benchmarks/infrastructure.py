"""How long week 12's infrastructure takes: the emulated account, and the labs' stacks together."""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from autograder.answers import answers_of
from autograder.loading import load_rubric
from benchmarks.table import Row
from labkit.clouds.emulated import EmulatedCloud
from labkit.course import find_course
from labkit.terraform import Terraform

PROVIDER = re.compile(r'^provider "aws" \{.*?^\}\n', re.MULTILINE | re.DOTALL)
LABS = ("model_storage", "gpu_cluster", "cost")
STEPS = ("init", "validate", "plan", "apply", "second plan", "destroy")


def whole_stack(repetitions: int) -> Iterator[Row]:
    """Start an account, apply the reference answers of the labs as one stack, plan again, destroy."""
    seconds: dict[str, list[float]] = {}
    resources = 0
    for _ in range(repetitions):
        with tempfile.TemporaryDirectory(prefix="workbook-bench-") as scratch:
            folder = Path(scratch) / "stack"
            lay(folder)
            cloud = EmulatedCloud(Path(scratch) / "cloud")
            try:
                took, resources = once(folder, cloud)
            finally:
                cloud.down(purge=True)
        for name, value in took.items():
            seconds.setdefault(name, []).append(value)
    yield Row("emulated account, started", seconds.pop("start"), "s", "3 s")
    for name in STEPS:
        yield Row(f"{resources} resources: {name}", seconds[name], "s")
    whole = [sum(values) for values in zip(*(seconds[name] for name in STEPS), strict=True)]
    yield Row(f"{resources} resources, init to destroy, second plan empty", whole, "s", "30 s, 30 resources")


def lay(folder: Path) -> None:
    """The reference answer of each lab as a module of one configuration."""
    folder.mkdir()
    modules = []
    for name in LABS:
        lab = find_course().lab(f"week12/{name}")
        reference = next(each for each in answers_of(load_rubric(lab)) if each.name == "reference")
        with tempfile.TemporaryDirectory() as scratch:
            shutil.copytree(reference.lay(Path(scratch) / lab.assignment) / lab.name, folder / name)
        for leftover in ("seed", "before"):
            shutil.rmtree(folder / name / leftover, ignore_errors=True)
        (folder / name / "backend.tf").unlink(missing_ok=True)  # only the root keeps a state
        for path in (folder / name).glob("*.tf"):  # and only the root's provider is led to the account
            path.write_text(PROVIDER.sub("", path.read_text()))
        modules.append(f'module "{name}" {{\n  source = "./{name}"\n}}\n')
    shutil.copyfile(find_course().lab("week12/model_storage").handout / "versions.tf", folder / "versions.tf")
    (folder / "main.tf").write_text("\n".join(modules))


def once(folder: Path, cloud: EmulatedCloud) -> tuple[dict[str, float], int]:
    """One round: seconds by step, and how many resources there were."""
    began = time.monotonic()
    cloud.up()
    took = {"start": time.monotonic() - began}
    with Terraform(folder, cloud) as terraform:

        def timed(name: str) -> None:
            nonlocal began
            took[name] = time.monotonic() - began
            began = time.monotonic()

        began = time.monotonic()
        terraform.init()
        timed("init")
        terraform.validate()
        timed("validate")
        plan = terraform.plan()
        timed("plan")
        terraform.apply(plan)
        timed("apply")
        second = terraform.plan()
        timed("second plan")
        if not second.empty:
            raise SystemExit(f"The second plan is not empty: {[each.address for each in second.changes]}")
        terraform.destroy()
        timed("destroy")
    return took, len(plan.changes)
