"""A learner's pipeline and search, run in the environment of Kubeflow's SDKs; plain data comes back."""

from __future__ import annotations

import base64
import binascii
import json
import re
import secrets
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labkit.environments import Environment
from labkit.errors import Unavailable, WorkFault
from labkit.isolation.mounts import Shown
from labkit.terraform.shell import Shell

ENVIRONMENT = "kubeflow"
SECONDS = 60.0
_PROGRAMS = Path(__file__).parent / "programs"
_TAKEN = (".py", ".csv")
Object = dict[str, Any]


@dataclass(frozen=True)
class Artifact:
    """What a step of a pipeline left.

    Attributes:
        step: The step.
        name: Its name among the step's outputs.
        kind: `system.Dataset`, `system.Model`, `system.Metrics`, `system.Artifact`, ...
        metadata: What the step noted about it; of metrics, their values.
        data: Its file; None if it wrote none.
    """

    step: str
    name: str
    kind: str
    metadata: Object
    data: bytes | None


@dataclass(frozen=True)
class Step:
    """A step as the compiled pipeline has it.

    Attributes:
        takes: For each artifact that it reads: the step that made it, and its name there.
        gives: The artifacts that it made.
    """

    takes: dict[str, tuple[str, str]]
    gives: dict[str, Artifact] = field(default_factory=dict)


@dataclass(frozen=True)
class PipelineRun:
    """A pipeline that has run.

    Attributes:
        yaml: What the compiler made of it: what a Kubeflow cluster takes.
        steps: Its steps by name.
        seconds: How long compiling and running took.
    """

    yaml: str
    steps: dict[str, Step]
    seconds: float

    def artifacts(self, kind: str) -> list[Artifact]:
        """All artifacts of a kind."""
        return [one for step in self.steps.values() for one in step.gives.values() if one.kind == kind]

    def made_from(self, artifact: Artifact) -> list[Artifact]:
        """The artifacts that the step read which made this one."""
        sources = self.steps[artifact.step].takes.values()
        return [self.steps[step].gives[name] for step, name in sources if name in self.steps[step].gives]


@dataclass(frozen=True)
class Trial:
    """One trial of a search: the parameters, and what the objective said of them."""

    number: int
    parameters: dict[str, float]
    value: float


@dataclass(frozen=True)
class Search:
    """A search that has run.

    Attributes:
        direction: `maximize` or `minimize`.
        trials: In their order.
        best: The trial that the study calls its best.
        space: Where each parameter was looked for: `low`, `high`, `log`, or `choices`.
        seconds: How long it took.
    """

    direction: str
    trials: list[Trial]
    best: Trial
    space: dict[str, Object]
    seconds: float


def require() -> None:
    """Go on if the environment is ready.

    Raises:
        Unavailable: It is not made yet.
    """
    if flaw := Environment(ENVIRONMENT).flaw():
        raise Unavailable(
            "Kubeflow's SDKs are not ready here.",
            why=f"The environment {ENVIRONMENT}: {flaw.reason}.",
            next_step=f"Run: python3 -m labkit.environments {ENVIRONMENT}",
        )


def run_pipeline(folder: Path, table: Path, **parameters: float) -> PipelineRun:
    """Compile and run `readings` of the folder's pipeline.py.

    Args:
        folder: The learner's files; they are copied, and stay as they are.
        table: The table that the pipeline begins with.
        parameters: Its other arguments.

    Raises:
        WorkFault: It does not compile, a step fails, or it takes too long.
        Unavailable: The environment is not ready.
    """
    found, seconds = _run("pipeline", folder, table, {"table": table.name, **parameters})
    try:
        return PipelineRun(str(found["yaml"]), _steps(found["specification"], found["outputs"]), seconds)
    except (KeyError, TypeError, AttributeError, ValueError, binascii.Error) as error:
        raise WorkFault("The pipeline ran, and what it left can't be read.", why=repr(error)[:200]) from error


def run_search(folder: Path, table: Path, *, trials: int, seed: int) -> Search:
    """Run `search` of the folder's search.py.

    Args:
        folder: The learner's files; they are copied, and stay as they are.
        table: The table to search on.
        trials: How many trials it may take.
        seed: What its chance begins with.

    Raises:
        WorkFault: It raises, gives no study, or takes too long.
        Unavailable: The environment is not ready.
    """
    settings = {"table": table.name, "trials": trials, "seed": seed}
    found, seconds = _run("search", folder, table, settings)
    try:
        tried = [
            Trial(
                int(one["number"]), {k: float(v) for k, v in one["parameters"].items()}, float(one["value"])
            )
            for one in found["trials"]
        ]
        best = next(one for one in tried if one.number == found["best"])
        return Search(str(found["direction"]), tried, best, dict(found["space"]), seconds)
    except (KeyError, TypeError, AttributeError, ValueError, StopIteration) as error:
        raise WorkFault("The search ran, and its study can't be read.", why=repr(error)[:200]) from error


def _run(what: str, folder: Path, table: Path, settings: Mapping[str, Any]) -> tuple[Object, float]:
    """Run one of our programs beside a copy of the learner's files; gives its last word and the seconds."""
    require()
    environment = Environment(ENVIRONMENT)
    program, mark = f"{what}_run.py", f"{secrets.token_hex(8)} "
    if not (folder / f"{what}.py").is_file():
        raise WorkFault(f"There is no {what}.py in {folder.name}.", next_step="Put the file back.")
    with tempfile.TemporaryDirectory(prefix="workbook-kubeflow-") as scratch:
        place = Path(scratch) / "work"
        place.mkdir()
        for path in [*folder.iterdir(), table]:
            if path.suffix in _TAKEN and path.is_file() and not path.is_symlink():
                shutil.copyfile(path, place / path.name)
        shutil.copyfile(_PROGRAMS / program, place / program)
        variables = {
            "PATH": f"{environment.python.parent}:/usr/local/bin:/usr/bin:/bin",
            "PYTHONPATH": "",
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "PIP_NO_INDEX": "1",
        }
        command = [str(environment.python), program, mark, json.dumps(settings)]
        with Shell(place, log=Path(scratch) / "log", shown=[Shown(environment.path)]) as shell:
            ended = shell.run(command, environment=variables, seconds=SECONDS)
    if ended.timed_out:
        raise WorkFault(f"{what}.py did not end within {SECONDS:.0f} s.")
    lines = ended.output.splitlines()
    said = next((line for line in reversed(lines) if line.startswith(mark)), None)
    if ended.exit_code or said is None:
        raise WorkFault(f"{what}.py failed.", why=_reason(lines, what))
    try:
        found: Object = json.loads(said.removeprefix(mark))
    except ValueError as error:
        raise WorkFault(f"What {what}.py left can't be read.") from error
    return found, ended.seconds


def _reason(lines: list[str], what: str) -> str:
    """The error that was printed, with the learner's line."""
    errors = [line.strip() for line in lines if re.match(r"\s*[\w.]*(Error|Exception|Exit)\b", line)]
    places = [match[1] for line in lines if (match := re.search(rf'{what}\.py", (line \d+)', line))]
    shown = (errors or [line.strip() for line in lines if line.strip()] or ["It printed nothing."])[-1]
    return f"{shown[:250]} ({what}.py, {places[-1]})" if places else shown[:250]


def _steps(specification: Object, outputs: Object) -> dict[str, Step]:
    steps = {}
    for name, task in specification["root"]["dag"]["tasks"].items():
        component = specification["components"][task["componentRef"]["name"]]
        sources = [
            (key, one["taskOutputArtifact"])
            for key, one in ((task.get("inputs") or {}).get("artifacts") or {}).items()
            if "taskOutputArtifact" in one
        ]
        takes = {key: (one["producerTask"], one["outputArtifactKey"]) for key, one in sources}
        declared = (component.get("outputDefinitions") or {}).get("artifacts") or {}
        left = outputs.get(name) or {}
        gives = {
            key: Artifact(
                step=name,
                name=key,
                kind=str(one["artifactType"].get("schemaTitle", "system.Artifact")),
                metadata=dict((left.get(key) or {}).get("metadata") or {}),
                data=_bytes((left.get(key) or {}).get("data")),
            )
            for key, one in declared.items()
        }
        steps[name] = Step(takes, gives)
    for step in steps.values():
        for source, _ in step.takes.values():
            if source not in steps:
                raise ValueError(f"a step reads from {source}, which is none")
    return steps


def _bytes(coded: str | None) -> bytes | None:
    return None if coded is None else base64.b64decode(coded)
