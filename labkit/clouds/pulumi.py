"""Pulumi programs in Python, judged without an engine: what they declare, and what their tests notice.

The programs and their tests run in the environment `pulumi`, under this process's guard; plain data comes
back.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from labkit.clouds import pulumi_process
from labkit.environments import ensure
from labkit.errors import WorkFault
from labkit.isolation.guard import Guard
from labkit.isolation.mounts import Shown
from labkit.terraform.shell import Shell

ENVIRONMENT = "pulumi"


@dataclass(frozen=True)
class Declared:
    """One resource that a program declares.

    Attributes:
        type: As Pulumi's engine has it, `gcp:storage/bucket:Bucket`.
        name: As the program calls it.
        inputs: Its arguments, named as the engine has them: `nodeConfig`.
    """

    type: str
    name: str
    inputs: dict[str, Any]


@dataclass(frozen=True)
class Declaration:
    """All that a program declares.

    Attributes:
        resources: The resources, in the order of declaration.
        outputs: What its `build` returned, with the mocks' values.
    """

    resources: tuple[Declared, ...]
    outputs: dict[str, Any]

    def of(self, kind: str) -> list[Declared]:
        """The resources of a type, `gcp:storage/bucket:Bucket`."""
        return [each for each in self.resources if each.type == kind]


@dataclass(frozen=True)
class Tested:
    """What came of a test.

    Attributes:
        code: pytest's exit code: 0 if all passed, 1 if some failed, 2 if it could not be loaded, 5 if there
            was none; negative if it was ended.
        said: What failed, and how it ended.
    """

    code: int
    said: str

    @property
    def passed(self) -> bool:
        """Whether there were tests, and all passed."""
        return self.code == 0


class PulumiPrograms:
    """Runs the programs in a folder; as a context manager it ends what still runs.

    Args:
        folder: The folder, with `declared.py` beside each program.
        log: Where our own process says what is wrong with it.
        guard: What keeps the programs apart; that of this process by default.
    """

    def __init__(self, folder: Path, *, log: Path, guard: Guard | None = None) -> None:
        self._environment = ensure(ENVIRONMENT)
        self._script = Path(pulumi_process.__file__)
        shown = [Shown(self._environment.path), Shown(self._script)]
        self._shell = Shell(folder, log=log, shown=shown, guard=guard)

    def declares(self, program: str, arguments: dict[str, Any]) -> Declaration:
        """What a program declares.

        Args:
            program: Its file, below the folder.
            arguments: What its `build` is called with.

        Raises:
            WorkFault: It can't be run, or raises something.
        """
        path = Path(program)
        answer = self._ask("declared", str(path.parent), path.stem, json.dumps(arguments))
        if "resources" not in answer:
            raise WorkFault(f"{path.name} raised {answer.get('error')}.", why=str(answer.get("place", "")))
        try:
            resources = [
                Declared(str(e["type"]), str(e["name"]), dict(e["inputs"])) for e in answer["resources"]
            ]
            return Declaration(tuple(resources), dict(answer["outputs"]))
        except (KeyError, TypeError, ValueError) as error:
            raise WorkFault(f"{path.name} gave no proper declaration.", why=repr(error)) from error

    def tested(self, test: str, folders: Sequence[str]) -> dict[str, Tested]:
        """Run a test in each of these folders, in an order that says nothing.

        Args:
            test: The file of the test, in each of them.
            folders: Folders below the folder.

        Raises:
            WorkFault: The tests ended what runs them.
        """
        answer = self._ask("tested", test, *random.sample(folders, len(folders))).get("tested")
        if not isinstance(answer, dict) or set(answer) != set(folders):
            raise WorkFault(f"{test} ended what ran it.")
        return {name: Tested(int(each["code"]), str(each["said"])) for name, each in answer.items()}

    def _ask(self, *arguments: str) -> dict[str, Any]:
        command = [str(self._environment.python), "-I", str(self._script), *arguments]
        ended = self._shell.run(command, seconds=100)
        lines = [line for line in ended.output.splitlines() if line.startswith(pulumi_process.ANSWER)]
        try:
            answer = json.loads(lines[-1].removeprefix(pulumi_process.ANSWER))
        except (IndexError, ValueError) as error:
            last = " ".join([line for line in ended.output.splitlines() if line.strip()][-2:])
            why = "Its time was up." if ended.timed_out else last[-300:]
            raise WorkFault("The Pulumi program gave no answer.", why=why) from error
        return answer if isinstance(answer, dict) else {}

    def close(self) -> None:
        """End what still runs."""
        self._shell.close()

    def __enter__(self) -> PulumiPrograms:
        """It is there already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        self.close()
