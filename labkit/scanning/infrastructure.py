"""Policies as code: what checkov's policies, and those that somebody wrote, say of a configuration."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from labkit.errors import WorkFault
from labkit.isolation.guard import Guard
from labkit.isolation.mounts import Shown
from labkit.scanning.programs import ScannerFault, read_json, ready
from labkit.terraform.shell import Shell

_EXCEPTION = re.compile(r"(?:checkov|bridgecrew):skip", re.IGNORECASE)
_POLICIES = "policies"
_POLICY_BYTES = 20_000


@dataclass(frozen=True)
class Violation:
    """A resource that breaks a policy.

    Attributes:
        policy: The policy's id, `CKV_AWS_26`.
        name: What it asks, in its words.
        configuration: In which of the configurations.
        resource: The resource's address there.
        line: Where it begins.
    """

    policy: str
    name: str
    configuration: str
    resource: str
    line: int

    def __str__(self) -> str:
        """One line."""
        return f"{self.policy} {self.resource}, line {self.line}: {self.name}"


def policy_of(path: Path) -> dict[str, Any]:
    """A policy in checkov's YAML.

    Raises:
        WorkFault: It is none.
    """
    try:
        if path.is_symlink() or path.stat().st_size > _POLICY_BYTES:
            raise WorkFault(f"{path.name} is no policy: it is a link, or too long.")
        found = yaml.safe_load(path.read_text(errors="replace"))
    except FileNotFoundError:
        raise WorkFault(f"There is no {path.name}.") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise WorkFault(f"{path.name} is not YAML.", why=" ".join(str(error).split())[:200]) from error
    if not isinstance(found, dict) or not isinstance(found.get("metadata"), dict):
        raise WorkFault(f"{path.name} is no policy.", why="It has no metadata.")
    if not isinstance(found.get("definition"), dict) or not found["definition"]:
        raise WorkFault(f"{path.name} has no definition yet.", next_step="Say there what has to hold.")
    return found


def violations(
    configurations: Mapping[str, Path],
    checks: Iterable[str],
    *,
    policies: Iterable[Path] = (),
    guard: Guard | None = None,
) -> list[Violation]:
    """What in these configurations breaks these policies; one run of checkov looks at all of them.

    Comments that make exceptions do not count, nor do settings that lie beside a configuration.

    Args:
        configurations: Folders with `*.tf`, by name.
        checks: The ids of the policies.
        policies: Files with policies of one's own, in checkov's YAML.
        guard: What keeps the scanner apart from us; that of this process by default.

    Raises:
        ScannerFault: It broke.
        WorkFault: A policy is none.
    """
    environment = ready()
    with tempfile.TemporaryDirectory(prefix="workbook-policies-") as scratch:
        tree = Path(scratch) / "tree"
        for name, folder in configurations.items():
            _lay(folder, tree / name)
        own = [path for path in policies if policy_of(path)]
        for path in own:
            (tree / _POLICIES).mkdir(exist_ok=True)
            shutil.copyfile(path, tree / _POLICIES / path.name)
        command = [
            *(str(environment.python), "-I", str(environment.path / "bin" / "checkov"), "--directory", "."),
            *("--framework", "terraform", "--output", "json", "--compact", "--quiet", "--skip-download"),
            *("--check", ",".join(checks)),
            *(("--external-checks-dir", _POLICIES) if own else ()),
        ]
        with Shell(tree, log=Path(scratch) / "log", shown=[Shown(environment.path)], guard=guard) as shell:
            quiet = {"CHECKOV_RUN_SCA_PACKAGE_SCAN_V2": "false", "NO_COLOR": "1", "LOG_LEVEL": "CRITICAL"}
            ended = shell.run(command, environment=quiet, seconds=100)
    if ended.exit_code not in (0, 1) or ended.timed_out:
        last = " / ".join([line for line in ended.output.splitlines() if line.strip()][-2:])
        raise ScannerFault(f"checkov ended with exit code {ended.exit_code}.", why=last[-300:])
    return _violations(ended.output)


def _lay(folder: Path, target: Path) -> None:
    target.mkdir(parents=True)
    for path in folder.glob("*.tf"):
        if path.is_file() and not path.is_symlink():
            (target / path.name).write_text(_EXCEPTION.sub("exception", path.read_text(errors="replace")))


def _violations(output: str) -> list[Violation]:
    # What it says on stderr comes first, if anything does; its report begins a line.
    begins = re.search(r"^[\[{]", output, re.MULTILINE)
    answer = read_json("checkov", output[begins.start() :] if begins else output)
    reports = answer if isinstance(answer, list) else [answer]
    return [
        Violation(
            str(found["check_id"]),
            str(found["check_name"]),
            str(found["file_path"]).strip("/").partition("/")[0],
            str(found["resource"]),
            int(found["file_line_range"][0]),
        )
        for report in reports
        for found in report.get("results", {}).get("failed_checks", [])
    ]
