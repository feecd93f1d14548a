"""A learner's infrastructure under judgement: planned, applied and destroyed in an account of its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

from labkit.clouds.beside import AccountBeside
from labkit.errors import WorkFault
from labkit.terraform import Diagnostic, Plan, Terraform, TerraformFault
from labkit.terraform.programs import refuse_programs
from labkit.terraform.shell import Shell

LEFT_OUT = (".terraform", ".terraform.lock.hcl", "terraform.tfstate", "terraform.tfstate.backup", "*.tfplan")
"""What Terraform left from the learner's own runs: checks begin with an empty account."""


class Stack:
    """A configuration with a fresh account; everything is done once, when it is first asked for.

    Args:
        folder: The learner's files, a copy that may be changed.
        scratch: A folder of this run.
        say: Told each line of Terraform's progress.
        prepare: Puts into the account what is there before the learner begins.
        variables: Values of the configuration's variables.
        root: The configuration's own folder below `folder`, if it uses modules that lie beside it.
    """

    def __init__(
        self,
        folder: Path,
        scratch: Path,
        *,
        say: Callable[[str], None],
        prepare: Callable[[Any], None] = lambda session: None,
        variables: dict[str, Any] | None = None,
        root: str = "",
    ) -> None:
        self.variables = variables or {}
        self.folder = folder
        refuse_programs(folder)
        for pattern in LEFT_OUT:
            for path in folder.rglob(pattern):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        shown = [*Terraform.shown(), *AccountBeside.shown()]
        self._shell = Shell(folder, log=scratch / "shell.log", shown=shown)
        try:
            self.account = AccountBeside(self._shell)
            self.account.up()
            prepare(self.account.session())
            self.terraform = Terraform(folder, self.account, say=say, shell=self._shell, root=root)
        except BaseException:
            self.close()
            raise

    def client(self, service: str) -> Any:
        """A boto3 client of the account."""
        return self.account.session().client(service)

    @cached_property
    def initialised(self) -> None:
        """Providers, modules and the state's place are there."""
        self.terraform.init()

    @cached_property
    def faults(self) -> list[Diagnostic]:
        """What `validate` finds wrong."""
        self.initialised  # noqa: B018
        return [each for each in self.terraform.validate() if each.severity == "error"]

    @cached_property
    def plan(self) -> Plan:
        """What applying it to the empty account would do.

        Raises:
            TerraformFault: It is not valid, or can't be planned.
        """
        self.initialised  # noqa: B018
        return self.terraform.plan(variables=self.variables)

    @cached_property
    def applied(self) -> Plan:
        """The same, done.

        Raises:
            TerraformFault: It can't be applied.
        """
        try:
            self.terraform.apply(self.plan)
        except TerraformFault as error:
            raise WorkFault(f"It plans, but does not apply: {error.what}", why=error.why) from error
        return self.plan

    @cached_property
    def second_plan(self) -> Plan:
        """What is planned when all is applied already: nothing, if the configuration says what it means."""
        self.applied  # noqa: B018
        return self.terraform.plan(variables=self.variables)

    @cached_property
    def destroyed(self) -> None:
        """All of it is destroyed."""
        self.applied  # noqa: B018
        self.terraform.destroy(variables=self.variables)

    def close(self) -> None:
        """End the account and what still runs."""
        if hasattr(self, "account"):
            self.account.down()
        if hasattr(self, "terraform"):
            self.terraform.close()
        self._shell.close()

    def __enter__(self) -> Stack:
        """Its account is there already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        self.close()
