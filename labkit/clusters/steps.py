"""A release as a list of steps in YAML, each done with kubectl: plain data, so that anybody's can be run.

steps:
  - apply: green.yaml
  - wait: deployment/green
  - point: green
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from labkit.clusters.kubectl import Kubectl
from labkit.errors import WorkFault

MOST_STEPS = 20
MOST_SLEEP = 10.0
WAIT_SECONDS = 60
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes:
        verb: `apply`, `wait`, `point`, `scale`, `delete` or `sleep`.
        value: What it is done with, as the file says it.
    """

    verb: str
    value: Any

    def __str__(self) -> str:
        """As the file says it."""
        return f"{self.verb}: {json.dumps(self.value) if isinstance(self.value, dict) else self.value}"


def read_steps(path: Path) -> list[Step]:
    """The steps of a file.

    Raises:
        WorkFault: It is not there, or holds something else; names the step.
    """
    if not path.is_file() or path.is_symlink():
        raise WorkFault(f"There is no {path.name}.", next_step="Put it back beside the other files.")
    try:
        found = yaml.safe_load(path.read_text(errors="replace"))
        given = found["steps"]
        if not isinstance(given, list) or not 0 < len(given) <= MOST_STEPS:
            raise TypeError
    except (yaml.YAMLError, KeyError, TypeError, RecursionError) as error:
        raise WorkFault(
            f"{path.name} holds no list `steps` of 1 to {MOST_STEPS} steps.",
            next_step="Its head says what a step is.",
        ) from error
    return [_step(path, number, one) for number, one in enumerate(given, start=1)]


def _step(path: Path, number: int, given: Any) -> Step:
    if isinstance(given, dict) and len(given) == 1:
        verb, value = next(iter(given.items()))
        if verb in _RULES and _RULES[verb](value):
            if verb == "apply" and not (path.parent / value).is_file():
                raise WorkFault(f"{path.name}, step {number}: there is no file {value} beside it.")
            return Step(verb, value)
    raise WorkFault(
        f"{path.name}, step {number}: {str(given)[:80]} is no step.", next_step="Its head lists them."
    )


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def _is_deployment(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("deployment/") and _is_name(value[11:])


_RULES: dict[str, Callable[[Any], bool]] = {
    "apply": lambda value: isinstance(value, str) and re.fullmatch(r"[\w-]+\.ya?ml", value) is not None,
    "wait": _is_deployment,
    "delete": _is_deployment,
    "point": _is_name,
    "scale": lambda value: (
        isinstance(value, dict)
        and all(
            _is_name(name) and isinstance(count, int) and 0 <= count <= 10 for name, count in value.items()
        )
    ),
    "sleep": lambda value: isinstance(value, int | float) and 0 <= value <= MOST_SLEEP,
}


def run_steps(
    steps: list[Step], folder: Path, kubectl: Kubectl, *, say: Callable[[str], None] = lambda _: None
) -> list[float]:
    """Do them one after the other; gives how many seconds each took.

    Args:
        steps: What to do.
        folder: Where the files of `apply` are.
        kubectl: In whose name, and in which namespace.
        say: Told of each step as it begins.

    Raises:
        WorkFault: kubectl refused one; its words are quoted.
    """
    seconds = []
    for step in steps:
        say(str(step))
        began = time.monotonic()
        _do(step, folder, kubectl)
        seconds.append(time.monotonic() - began)
    return seconds


def _do(step: Step, folder: Path, kubectl: Kubectl) -> None:
    if step.verb == "apply":
        kubectl.apply((folder / step.value).read_text())
    elif step.verb == "wait":
        kubectl("rollout", "status", step.value, f"--timeout={WAIT_SECONDS}s")
    elif step.verb == "point":
        patch = {"spec": {"selector": {"app": "model", "colour": step.value}}}
        kubectl("patch", "service", "model", "-p", json.dumps(patch))
    elif step.verb == "scale":
        for name, count in step.value.items():
            kubectl("scale", f"deployment/{name}", f"--replicas={count}")
    elif step.verb == "delete":
        kubectl("delete", step.value, "--wait=false")
    else:
        time.sleep(float(step.value))
