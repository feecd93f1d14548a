"""A configuration in a folder, from init to destroy."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any

from labkit.clouds.base import Cloud
from labkit.errors import WorkFault
from labkit.isolation.mounts import Shown
from labkit.terraform.faults import Diagnostic, TerraformFault, fault
from labkit.terraform.plan import Plan, Resource, resources_of
from labkit.terraform.program import Program, find_program, mirror, settings
from labkit.terraform.shell import Ended, Shell

OVERRIDE = "workbook_override.tf"
SECONDS = 100.0
"""No command may take longer: a check has 120 s."""

Say = Callable[[str], None]


class Terraform:
    """Runs Terraform on a folder; as a context manager it leaves the folder as it found it.

    Args:
        folder: The configuration; its `.terraform` and local state are made there.
        cloud: The account that it changes, ready; None if it changes none (mocks, a local state).
        say: Told each line of progress.
        shell: Where the commands run, if not in a shell of their own under this process's guard.
        program: What runs Terraform, if not what `find_program` finds.
        root: The configuration's own folder below `folder`, if it uses modules that lie beside it.

    Every command raises `TerraformFault` if the configuration or the state is at fault, `StateLocked` if
    somebody else holds the state, and `Unavailable` if the emulator lacks a call or nothing runs Terraform.
    """

    def __init__(
        self,
        folder: Path,
        cloud: Cloud | None = None,
        *,
        say: Say = lambda line: None,
        shell: Shell | None = None,
        program: Program | None = None,
        root: str = "",
    ) -> None:
        self.folder = folder
        self.root = root
        self.cloud = cloud
        self.say = say
        self.program = program or find_program()
        self._mirror = mirror()
        self._logs = tempfile.TemporaryDirectory(prefix="workbook-terraform-")
        self._own_shell = shell is None
        self.shell = shell or Shell(folder, log=Path(self._logs.name) / "log", shown=self.shown())
        self.seconds: dict[str, float] = {}
        """How long the last run of each command took."""

    @classmethod
    def shown(cls, program: Program | None = None) -> list[Shown]:
        """What a sandbox has to show of this machine for Terraform to run in it."""
        providers = mirror()
        return [*(program or find_program()).shown, *([Shown(providers)] if providers else [])]

    # ---- the cycle ----------------------------------------------------------------------------------------

    def init(self, *, backend: bool = True, backend_config: Mapping[str, str] | None = None) -> None:
        """Fetch providers and modules, and connect to where the state is kept.

        Args:
            backend: Whether to connect to it at all; `validate` needs no state.
            backend_config: What the configuration leaves open of its backend.
        """
        given = [f"-backend-config={name}={value}" for name, value in (backend_config or {}).items()]
        self._do("init", "-reconfigure" if backend else "-backend=false", *given)

    def validate(self) -> list[Diagnostic]:
        """What is wrong with the configuration by itself; asks no account."""
        ended = self._run("validate", ["validate", "-json"])
        try:
            found = json.loads(ended.output)
        except ValueError as error:
            raise fault("validate", [], ended.output) from error
        return [Diagnostic.of(each) for each in found.get("diagnostics", [])]

    def plan(
        self, *, destroy: bool = False, variables: Mapping[str, Any] | None = None, refresh_only: bool = False
    ) -> Plan:
        """What applying the configuration would change."""
        path = str(self.shell.scratch / "plan")
        self._do(
            "plan",
            f"-out={path}",
            *(["-destroy"] if destroy else []),
            *(["-refresh-only"] if refresh_only else []),
            *_variables(variables),
        )
        return Plan(self._shown("show", "-json", path), self.seconds["plan"])

    def apply(self, plan: Plan | None = None, *, variables: Mapping[str, Any] | None = None) -> None:
        """Make the account as the configuration says.

        Args:
            plan: The plan to carry out, the last one that was made; by default a new one is made.
            variables: Values of the configuration's variables, without a plan.
        """
        if self.cloud is not None:
            self.cloud.agree_to_cost(f"What {self.folder.name} describes")
        target = [str(self.shell.scratch / "plan")] if plan is not None else _variables(variables)
        self._do("apply", "-auto-approve", *target)

    def destroy(self, *, variables: Mapping[str, Any] | None = None) -> None:
        """Destroy all that the state knows."""
        self._do("destroy", "-auto-approve", *_variables(variables))

    def state(self) -> list[Resource]:
        """What Terraform made and knows of."""
        return resources_of(self._shown("show", "-json"))

    def outputs(self) -> dict[str, Any]:
        """The configuration's outputs."""
        return {name: each["value"] for name, each in self._shown("output", "-json").items()}

    def test(self, *arguments: str) -> list[dict[str, Any]]:
        """Run the configuration's tests; gives Terraform's own messages, one by one, also if some failed."""
        ended = self._run("test", ["test", "-json", "-no-color", *arguments])
        messages = _messages(ended.output)
        if not any(each.get("type") == "test_summary" for each in messages):
            raise fault("test", _diagnostics(messages), ended.output)
        return messages

    def force_unlock(self, lock: str) -> None:
        """Take a lock away whose holder is dead."""
        self._run("force-unlock", ["force-unlock", "-force", lock])

    # ---- running ------------------------------------------------------------------------------------------

    def _do(self, command: str, *arguments: str) -> None:
        ended = self._run(command, [command, "-json", "-no-color", "-input=false", *arguments])
        if ended.exit_code != 0:
            raise fault(command, _diagnostics(_messages(ended.output)), ended.output)

    def _shown(self, *command: str) -> dict[str, Any]:
        ended = self._run(command[0], list(command))
        lines = [line for line in ended.output.splitlines() if line.startswith("{")]
        if ended.exit_code != 0 or not lines:
            raise fault(command[0], _diagnostics(_messages(ended.output)), ended.output)
        try:
            found = json.loads("\n".join(ended.output.splitlines()[_first(ended.output) :]))
        except ValueError as error:
            raise fault(command[0], [], ended.output) from error
        return dict(found)

    def _run(self, name: str, arguments: Sequence[str]) -> Ended:
        override = self.cloud.provider_override() if self.cloud else ""
        if override:
            self.shell.write(PurePosixPath(self.root) / OVERRIDE, override)
        rc = self.shell.scratch / "terraform.rc"
        real = self.cloud is not None and self.cloud.name != "emulated"
        self.shell.write(rc, settings(self._mirror, registry=real))
        try:
            ended = self.shell.run(
                [*self.program.command, *arguments],
                environment={
                    **(self.cloud.environment() if self.cloud else {}),
                    "TF_CLI_CONFIG_FILE": str(rc),
                    "TF_IN_AUTOMATION": "1",
                    "CHECKPOINT_DISABLE": "1",
                },
                seconds=SECONDS,
                say=self._tell,
                folder=self.root,
            )
        finally:
            if override:
                self.shell.remove(PurePosixPath(self.root) / OVERRIDE)
        self.seconds[name] = ended.seconds
        if ended.timed_out:
            raise TerraformFault(
                f"terraform {name} did not end within {SECONDS:.0f} s, and was cancelled.",
                why=(ended.output.splitlines() or [""])[-1][:200],
            )
        return ended

    def _tell(self, line: str) -> None:
        with_message = _message(line)
        if with_message.get("@message"):
            self.say(str(with_message["@message"]))

    def close(self) -> None:
        """End what still runs."""
        if self._own_shell:
            self.shell.close()
        self._logs.cleanup()

    def __enter__(self) -> Terraform:
        """Nothing happens yet: `init` begins."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End what still runs."""
        self.close()


def _variables(given: Mapping[str, Any] | None) -> list[str]:
    return [
        f"-var={name}={value if isinstance(value, str) else json.dumps(value)}"
        for name, value in (given or {}).items()
    ]


def _first(output: str) -> int:
    """The line at which the JSON begins."""
    for number, line in enumerate(output.splitlines()):
        if line.startswith("{"):
            return number
    raise WorkFault("Terraform gave no JSON.")


def _message(line: str) -> dict[str, Any]:
    if not line.startswith("{"):
        return {}
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _messages(output: str) -> list[dict[str, Any]]:
    return [found for line in output.splitlines() if (found := _message(line))]


def _diagnostics(messages: Sequence[Mapping[str, Any]]) -> list[Diagnostic]:
    return [
        Diagnostic.of(each.get("diagnostic") or {}) for each in messages if each.get("type") == "diagnostic"
    ]
