"""Faults planted in a module, and which of them its tests notice: mutation testing for infrastructure.

Every copy of the module is tested in one run of `terraform test`, so that Terraform and the provider start
once: the runs of each test file are led to the copies, one after another.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from labkit.errors import WorkbookError
from labkit.isolation.guard import Guard
from labkit.terraform import hcl
from labkit.terraform.faults import TerraformFault
from labkit.terraform.programs import refuse_programs
from labkit.terraform.shell import Shell
from labkit.terraform.stack import Say, Terraform

RUNS = 60
"""More than so many runs no module of this size needs; each is run once for every copy."""


@dataclass(frozen=True)
class Fault:
    """A small change of a module's text, as somebody might make it by mistake.

    Attributes:
        name: What it is called.
        old: What stands in the module, once.
        new: What stands there instead.
        file: In which of its files.
    """

    name: str
    old: str
    new: str
    file: str = "main.tf"

    def plant(self, module: Path) -> None:
        """Change a copy of the module.

        Raises:
            WorkbookError: What it changes is not there, or not once.
        """
        path = module / self.file
        text = path.read_text()
        if text.count(self.old) != 1:
            raise WorkbookError(
                f"The fault {self.name!r} can't be planted.",
                why=f"What it replaces stands {text.count(self.old)} times in {self.file}.",
            )
        path.write_text(text.replace(self.old, self.new))


@dataclass(frozen=True)
class Ran:
    """One run of a test.

    Attributes:
        name: As the test calls it.
        status: `pass`, `fail`, `error`, or `skip` for what comes behind an error.
        why: The message of the assertion that failed, or the error.
    """

    name: str
    status: str
    why: str = ""


def run_on(
    module: Path,
    tests: Path,
    variants: Mapping[str, Sequence[Fault]],
    scratch: Path,
    *,
    say: Say = lambda line: None,
    guard: Guard | None = None,
) -> dict[str, list[Ran]]:
    """Run a module's tests on copies of it, each with faults of its own.

    Args:
        module: The module, `*.tf`.
        tests: The folder of its tests, `*.tftest.hcl`, with what they need beside them.
        variants: For each copy what is changed in it; nothing for the module as it is.
        scratch: A folder of this run.
        say: Told each line of progress.
        guard: What keeps the tests apart; that of this process by default.

    Returns:
        The runs of each variant, in the order in which they ran.

    Raises:
        TerraformFault: The tests can't be run: they don't parse, name no mocked provider, are too many.
    """
    refuse_programs(tests)
    files = {path.name: path.read_text(errors="replace") for path in _files(tests)}
    _refuse_real_accounts(files)
    # No test can tell by its name which copy it looks at.
    names = {variant: secrets.token_hex(4) for variant in variants}
    tree = scratch / secrets.token_hex(4)
    shutil.copytree(tests, tree / "tests", ignore=shutil.ignore_patterns("*.tftest.hcl", ".terraform*"))
    shutil.copyfile(module / "versions.tf", tree / "versions.tf")
    for variant, faults in variants.items():
        copy = tree / "modules" / names[variant]
        copy.mkdir(parents=True)
        for path in module.glob("*.tf"):
            shutil.copyfile(path, copy / path.name)
        for fault in faults:
            fault.plant(copy)
        for name, text in files.items():
            led = _led_to(text, f"./modules/{names[variant]}")
            (tree / "tests" / f"{names[variant]}.{name}").write_text(led)
    with (
        Shell(tree, log=scratch / "tests.log", shown=Terraform.shown(), guard=guard) as shell,
        Terraform(tree, say=say, shell=shell) as terraform,
    ):
        terraform.init(backend=False)
        ran = list(_ran(terraform.test()))
    return {
        variant: [each for file, each in ran if file.startswith(f"tests/{name}.")]
        for variant, name in names.items()
    }


def caught(runs: Sequence[Ran]) -> bool:
    """Whether something in these runs says that the module is not as it should be."""
    return any(each.status in ("fail", "error") for each in runs)


def _files(tests: Path) -> list[Path]:
    found = [path for path in sorted(tests.glob("*.tftest.hcl")) if path.is_file() and not path.is_symlink()]
    if not found:
        raise TerraformFault(
            "There are no tests.",
            why=f"No file in {tests.name} ends with .tftest.hcl.",
            next_step="Write one.",
        )
    return found


def _refuse_real_accounts(files: Mapping[str, str]) -> None:
    """Go on if every test says that its provider is mocked: none may reach an account that somebody has."""
    count = 0
    for name, text in files.items():
        found = hcl.blocks(text, name)
        count += sum(each.type == "run" for each in found)
        mocked = any(each.type == "mock_provider" and "aws" in each.labels for each in found)
        if not mocked or any(each.type == "provider" for each in found):
            raise TerraformFault(
                f"{name} does not mock the AWS provider.",
                why="Without a mock, these runs would ask an account.",
                next_step='mock_provider "aws" {} at the top of the file, and no provider block.',
            )
    if count > RUNS:
        raise TerraformFault(f"There are {count} runs.", why=f"At most {RUNS} are run on each copy.")


def _led_to(text: str, source: str) -> str:
    """The test with every run that names no module of its own led to that one."""
    for each in reversed(hcl.blocks(text)):
        if each.type == "run" and not each.of("module"):
            block = f'\n  module {{\n    source = "{source}"\n  }}\n'
            text = text[: each.inside] + block + text[each.inside :]
    return text


def _ran(messages: Sequence[Mapping[str, object]]) -> Iterator[tuple[str, Ran]]:
    """Of Terraform's messages those that end a run, with what was said of it."""
    said: dict[tuple[object, object], str] = {}
    for each in messages:
        place = (each.get("@testfile"), each.get("@testrun"))
        diagnostic = each.get("diagnostic")
        if isinstance(diagnostic, Mapping) and diagnostic.get("severity") == "error":
            text = " ".join(str(diagnostic.get("detail") or diagnostic.get("summary")).split())
            said.setdefault(place, text[:300])
    for each in messages:
        run = each.get("test_run")
        if isinstance(run, Mapping) and run.get("progress") == "complete":
            place = (each.get("@testfile"), each.get("@testrun"))
            yield str(run.get("path")), Ran(str(run.get("run")), str(run.get("status")), said.get(place, ""))
