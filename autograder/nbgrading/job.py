"""What is the same for all submissions of one run of grading, as a folder that any worker can read.

The folder holds `job.json`, the released notebooks and the rubrics without their answers: a run judges all by
the same, whatever is edited meanwhile, and a worker on another machine gets all of it as data.
"""

from __future__ import annotations

import hashlib
import json
import os
import pkgutil
import shutil
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from traitlets.config import Config

from autograder.loading import RUBRICS_VARIABLE, load_rubric, rubric_path
from autograder.nbgrading.files import Limits
from autograder.nbgrading.runner import NotebookRunner, RunLimits, can_isolate
from labkit.course import Lab

ISOLATED_RUNNER = "autograder.nbgrading.runner:choose_runner"
KERNEL_RUNNER = "autograder.nbgrading.runner:KernelRunner"
Released = dict[str, tuple[Lab, NotebookNode]]


@dataclass(frozen=True)
class Settings:
    """How submissions are graded.

    Attributes:
        runner: What runs the notebooks, as `module:name` of something that makes a `NotebookRunner`.
        run_limits: What running one may take.
        limits: How much a submission may hold.
        run: Whether notebooks are run; by default those that say so (`"workbook": {"run": true}`).
        fenced: Whether checks run learners' servers and functions in sandboxes.
        live_labs: The ids of the labs whose live checks are run, where time is short; of all by default.
    """

    runner: str = ISOLATED_RUNNER
    run_limits: RunLimits = field(default_factory=RunLimits)
    limits: Limits = field(default_factory=Limits)
    run: bool | None = None
    fenced: bool = field(default_factory=can_isolate)
    live_labs: tuple[str, ...] | None = None

    def runs_live(self, lab: Lab) -> bool:
        """Whether the lab's live checks are run."""
        return self.live_labs is None or lab.id in self.live_labs

    def make_runner(self) -> NotebookRunner:
        """The runner itself."""
        made: NotebookRunner = pkgutil.resolve_name(self.runner)()
        return made

    @classmethod
    def from_plain(cls, value: dict[str, Any]) -> Settings:
        """From what `dataclasses.asdict` gave."""
        return cls(
            runner=value["runner"],
            run_limits=RunLimits(**value["run_limits"]),
            limits=Limits(**value["limits"]),
            run=value["run"],
            fenced=value["fenced"],
            live_labs=None if value["live_labs"] is None else tuple(value["live_labs"]),
        )


@dataclass(frozen=True)
class Job:
    """One run's assignment: its labs, released notebooks and settings.

    Attributes:
        assignment: nbgrader's assignment.
        released: Each lab and its released notebook, by the notebook's name.
        settings: Runner and limits.
        config: nbgrader's configuration.
        belonging: The names of all the assignment's notebooks, where only some of them are to be judged.
    """

    assignment: str
    released: Released
    settings: Settings
    config: Any = field(default_factory=Config)
    belonging: frozenset[str] = frozenset()

    @cached_property
    def runner(self) -> NotebookRunner:
        """Runs the notebooks; made when the first is to be run."""
        runner = self.settings.make_runner()
        expect = getattr(runner, "expect", None)
        if expect is not None:
            expect(notebook for _, notebook in self.released.values())
        return runner

    def close(self) -> None:
        """End what the runner keeps running, if it does."""
        end = getattr(self.__dict__.get("runner"), "close", None)
        if end is not None:
            end()

    @property
    def names(self) -> set[str]:
        """The notebooks that belong to the assignment."""
        return set(self.belonging or self.released)

    def needs(self) -> set[str]:
        """What the checks of its labs need of the machine."""
        return {
            need
            for lab, _ in self.released.values()
            for spec in load_rubric(lab).checks
            if self.settings.runs_live(lab)
            for need in spec.needs
        }

    def write(self, folder: Path) -> str:
        """Write the folder; gives the fingerprint of what submissions are judged by."""
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "release").mkdir(parents=True)
        for name, (_, notebook) in self.released.items():
            nbformat.write(notebook, folder / "release" / f"{name}.ipynb")
        for lab, _ in self.released.values():
            rubrics = rubric_path(lab).parent
            _copy_rubrics(rubrics, folder / "rubrics" / rubrics.name)
        (folder / "rubrics").mkdir(exist_ok=True)
        fingerprint = hash_folder(folder)
        labs = [
            {"id": lab.id, "name": lab.name, "folder": str(lab.folder)} for lab, _ in self.released.values()
        ]
        said = {"assignment": self.assignment, "labs": labs, "settings": asdict(self.settings)}
        (folder / "job.json").write_text(json.dumps(said, indent=1))
        return fingerprint if self.settings.live_labs is None else f"{fingerprint} {self.settings.live_labs}"

    @classmethod
    def read(cls, folder: Path) -> Job:
        """Read the folder, and let this process find its rubrics there."""
        said = json.loads((folder / "job.json").read_text())
        os.environ[RUBRICS_VARIABLE] = str(folder / "rubrics")
        released = {}
        for one in said["labs"]:
            lab = Lab(one["id"], said["assignment"], one["name"], Path(one["folder"]))
            path = folder / "release" / f"{lab.name}.ipynb"
            released[lab.name] = (lab, nbformat.read(path, as_version=4))
        return cls(said["assignment"], released, Settings.from_plain(said["settings"]))


def _copy_rubrics(source: Path, target: Path) -> None:
    if target.exists() or not source.is_dir():
        return
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("answers", "__pycache__"))
    shared = source.parent / "conftest.py"
    if shared.is_file():
        shutil.copyfile(shared, target.parent / "conftest.py")


def hash_folder(folder: Path) -> str:
    """The hash of all plain files below a folder, by name and content."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink() and "__pycache__" not in path.parts:
            digest.update(f"{path.relative_to(folder)}\0".encode(errors="surrogateescape"))
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
